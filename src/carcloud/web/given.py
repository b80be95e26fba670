"""What the application gives to a route that names it in its arguments."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import PathParameter

from carcloud.config import Settings
from carcloud.services.campaigns.api import Campaigns, DryRun, Follow
from carcloud.services.commands.api import Commands
from carcloud.services.compliance.api import Compliance, PlatformAccounts
from carcloud.services.compute.api import Jobs
from carcloud.services.metering.api import Metering
from carcloud.services.storage.api import Storage
from carcloud.services.telemetry.api import Telemetry
from carcloud.services.tenancy.api import Tenancy
from carcloud.services.tenant_life.api import TenantLife
from carcloud.services.vehicles.api import Vehicles
from carcloud.services.vocabulary.api import Mappings, Vocabulary
from carcloud.web.callers import Caller, Callers
from carcloud.web.fleet import FleetView
from carcloud.web.live import LiveFeed
from carcloud.web.threads import Threads


@dataclass(slots=True)
class S3Address:
    """Where clients reach the S3 interface of buckets; known when it listens."""

    url: str = ""


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine of the installation. `check` raises `EngineError` when it is away; None = it is
    there while a process of the role `role` lives."""

    name: str
    kind: str  # what stands behind the port
    version: str
    place: str  # where it is, without credentials; empty = the data folder
    check: Callable[[], Awaitable[object]] | None = None
    role: str = ""


@dataclass(frozen=True, slots=True)
class CampaignParts:
    """What the routes of campaigns call."""

    service: Campaigns
    dry_run: DryRun
    follow: Follow


TheCampaigns = NamedDependency[CampaignParts]
TheCaller = NamedDependency[Caller]
TheCallers = NamedDependency[Callers]
TheCommands = NamedDependency[Commands]
TheCompliance = NamedDependency[Compliance]
TheEngines = NamedDependency[Sequence[Engine]]
TheFleet = NamedDependency[FleetView]
TheJobs = NamedDependency[Jobs]
TheLiveFeed = NamedDependency[LiveFeed]
TheMappings = NamedDependency[Mappings]
TheMetering = NamedDependency[Metering]
ThePlatforms = NamedDependency[PlatformAccounts]
TheProviderThreads = NamedDependency[Threads]
TheRegistrationLimits = NamedDependency[Mapping[str, int]]
TheS3Address = NamedDependency[S3Address]
TheSettings = NamedDependency[Settings]
TheStorage = NamedDependency[Storage]
TheTelemetry = NamedDependency[Telemetry]
TheTenancy = NamedDependency[Tenancy]
TheTenantLife = NamedDependency[TenantLife]
TheVehicles = NamedDependency[Vehicles]
TheVocabulary = NamedDependency[Vocabulary]

VehiclePath = Annotated[
    str, PathParameter(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$", description="Vehicle id")
]

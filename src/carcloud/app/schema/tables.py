"""The tables that the services expect, of all of them."""

from typing import Any

from carcloud.engines.records_versions import metadata as VERSIONS
from carcloud.services.campaigns.api import metadata as CAMPAIGNS
from carcloud.services.commands.api import metadata as COMMANDS
from carcloud.services.compliance.api import metadata as COMPLIANCE
from carcloud.services.compute.api import metadata as COMPUTE
from carcloud.services.metering.api import metadata as METERING
from carcloud.services.storage.api import metadata as STORAGE
from carcloud.services.telemetry.api import metadata as TELEMETRY
from carcloud.services.tenancy.api import metadata as TENANCY
from carcloud.services.tenant_life.api import metadata as TENANT_LIFE
from carcloud.services.vehicles.api import metadata as VEHICLES
from carcloud.services.vocabulary.api import metadata as VOCABULARY

TABLES: Any = (  # of MetaData; Alembic takes several and says it takes one
    VERSIONS,
    TENANCY,
    METERING,
    STORAGE,
    COMPUTE,
    VOCABULARY,
    VEHICLES,
    TELEMETRY,
    COMMANDS,
    CAMPAIGNS,
    COMPLIANCE,
    TENANT_LIFE,
)
"""Services of lower rank first."""

"""The table of streams: every subject that crosses a process wall, in one place."""

from dataclasses import dataclass

from carcloud.model.ids import Tenant


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """One durable stream or one live (not kept) subject family."""

    name: str
    subjects: str
    durable: bool
    carries: str


FRAMES = StreamSpec(
    "FRAMES",
    "frames.*.*",
    True,
    "raw frame blocks, frames.<tenant>.<protocol>; kept until the lake has them on disk",
)
EVENTS = StreamSpec(
    "EVENTS",
    "events.>",
    True,
    "JSON events, events.<tenant>.<service>.<event>, as vehicles.sessions; kept for a day",
)
LIVE = StreamSpec(
    "LIVE",
    "live.*",
    False,
    "decoded rows as they are stored, live.<tenant>; one Arrow IPC stream a micro-batch",
)
SESSIONS = StreamSpec(
    "SESSIONS",
    "sessions.*",
    False,
    "who is connected, sessions.<tenant>; JSON, changes each second and all every 15 s",
)
STATUS = StreamSpec(
    "STATUS",
    "status.*.*",
    False,
    "each process's own figures once a second, status.<role>.<instance>; JSON",
)
USAGE = StreamSpec(
    "USAGE",
    "usage.*",
    True,
    "what tenants used, usage.<tenant>; JSON, kept until metering has counted it",
)
JOBS = StreamSpec(
    "JOBS",
    "jobs.*.*",
    False,
    "what happens to a job, jobs.<tenant>.<job>; JSON: a piece of its log, or that it changed",
)
WAKE = StreamSpec(
    "WAKE",
    "wake.*",
    False,
    "there is something to do, wake.<service>; empty, and never needed: all look by themselves",
)
DOWN = StreamSpec(
    "DOWN",
    "down.*",
    False,
    "vehicles for which a message was put, down.<tenant>; JSON, and never needed: gateways look",
)
SHARES = StreamSpec(
    "SHARES",
    "shares.*",
    False,
    "what each process has given tenants in the last second, shares.<role>; JSON",
)
STREAMS = (FRAMES, EVENTS, LIVE, SESSIONS, STATUS, USAGE, JOBS, WAKE, DOWN, SHARES)


def subjects_of(tenant: Tenant) -> dict[str, str]:
    """By durable stream, the subjects whose messages are a tenant's."""
    return {
        FRAMES.name: f"frames.{tenant}.*",
        EVENTS.name: f"events.{tenant}.>",
        USAGE.name: f"usage.{tenant}",
    }


def frames_subject(tenant: Tenant, protocol: str) -> str:
    """Where the frame blocks of a tenant and protocol go."""
    return f"frames.{tenant}.{protocol}"


def live_subject(tenant: Tenant) -> str:
    """Where ingest tells of rows it has just stored."""
    return f"live.{tenant}"


def sessions_subject(tenant: Tenant) -> str:
    """Where a gateway tells who of a tenant is connected."""
    return f"sessions.{tenant}"


def event_subject(tenant: Tenant, service: str, event: str) -> str:
    """Where a service publishes an event."""
    return f"events.{tenant}.{service}.{event}"


def usage_subject(tenant: Tenant) -> str:
    """Where services tell what a tenant used."""
    return f"usage.{tenant}"


def shares_subject(role: str) -> str:
    """Where the processes of a role tell each other what they have given tenants."""
    return f"shares.{role}"


def status_subject(role: str, instance: str) -> str:
    """Where a process tells of its own figures."""
    return f"status.{role}.{instance}"


def job_subject(tenant: Tenant, job: str) -> str:
    """Where it is told what happens to a job."""
    return f"jobs.{tenant}.{job}"


def down_subject(tenant: Tenant) -> str:
    """Where gateways are told for which vehicles there is a message."""
    return f"down.{tenant}"


def wake_subject(service: str) -> str:
    """Where a service is told that there is something to do."""
    return f"wake.{service}"

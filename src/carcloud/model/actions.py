"""The table of actions: everything that a role can allow, and which built-in roles do."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

ANYONE = "anyone"  # what a route declares that whoever is signed in may call


@dataclass(frozen=True, slots=True)
class Action:
    """One row: `name` is `<things>:<verb>`; `roles` are built-in roles besides the owner."""

    name: str
    help: str
    roles: tuple[str, ...] = ()
    installation: bool = False  # concerns all tenants: only for administrators of the whole


_ALL = ("operator", "engineer", "analyst", "viewer")

ACTIONS: tuple[Action, ...] = (
    Action("vehicles:read", "See vehicles, their state and credentials", (*_ALL, "auditor")),
    Action("vehicles:write", "Register, change, import and retire vehicles", ("operator",)),
    Action("vehicles:credentials", "Change what proves that a vehicle is itself"),
    Action("models:read", "See vehicle models", (*_ALL, "auditor")),
    Action("models:write", "Add and change vehicle models", ("operator", "engineer")),
    Action("signals:read", "See the signals there are, and overlays on them", (*_ALL, "auditor")),
    Action("signals:write", "Change the tenant's overlay of the signals", ("engineer",)),
    Action("commands:read", "See commands to vehicles and their desired state", (*_ALL, "auditor")),
    Action("commands:send", "Send commands, change what state is desired", ("operator",)),
    Action("commands:control", "Send commands that open, stop or set something in a vehicle"),
    Action("campaigns:read", "See campaigns and what they collect", (*_ALL, "auditor")),
    Action("campaigns:write", "Write, start, pause and end campaigns", ("engineer",)),
    Action("campaigns:approve", "Approve versions of campaigns before they may start"),
    Action("telemetry:read", "See signals, frames, positions and alarms", _ALL),
    Action("tables:read", "See which tables there are", _ALL),
    Action("tables:write", "Have jobs write tables, drop such tables", ("engineer",)),
    Action("queries:run", "Ask the tenant's tables in SQL", ("operator", "engineer", "analyst")),
    Action("dead-letters:read", "See frames that could not be read", _ALL),
    Action("dead-letters:reprocess", "Read them again", ("operator", "engineer")),
    Action("forwarding:read", "See links to further platforms", (*_ALL, "auditor")),
    Action("forwarding:write", "Add, change and remove links to further platforms"),
    Action("platforms:read", "See lower platforms", (*_ALL, "auditor")),
    Action("platforms:write", "Admit lower platforms, take their accounts back"),
    Action("buckets:read", "See buckets and how they are set", (*_ALL, "auditor")),
    Action("buckets:write", "Make, change and remove buckets", ("operator", "engineer")),
    Action("objects:read", "List and read objects in buckets", _ALL),
    Action("objects:write", "Put objects into buckets", ("operator", "engineer")),
    Action("objects:delete", "Delete objects from buckets", ("operator", "engineer")),
    Action("jobs:read", "See jobs, their logs and artifacts, and schedules", (*_ALL, "auditor")),
    Action("jobs:run", "Submit and cancel jobs, add and change schedules", ("engineer",)),
    Action("status:read", "See the state of the cloud and live events", (*_ALL, "auditor")),
    Action("people:read", "See people, roles, grants and who may do what", ("auditor",)),
    Action("people:write", "Invite and remove people, change roles and grants"),
    Action("keys:read", "See service accounts and the keys of the tenant", ("auditor",)),
    Action("keys:write", "Make and revoke service accounts and their keys"),
    Action("audit:read", "Read, search and export the record of changes", ("auditor",)),
    Action("tenant:read", "See the tenant's facts and its projects", (*_ALL, "auditor")),
    Action("tenant:write", "Rename the tenant, ask for a second factor, add and remove projects"),
    Action("tenant:export", "Export all that the tenant has"),
    Action("quotas:read", "See quotas and what is used of them", (*_ALL, "auditor")),
    Action("usage:read", "See what was used", ("operator", "engineer", "analyst", "auditor")),
    Action("costs:read", "See costs, budgets, prices and statements", ("analyst", "auditor")),
    Action("budgets:write", "Add, change and remove budgets"),
    Action("quotas:write", "Give tenants quotas of their own", installation=True),
    Action("prices:write", "Add, end and remove price books", installation=True),
    Action("statements:close", "Close the month of a tenant", installation=True),
    Action("tenants:read", "See all tenants of the installation", installation=True),
    Action("tenants:write", "Make, suspend, export and delete tenants", installation=True),
    Action("system:read", "See processes, engines, versions and lag", installation=True),
)

BY_NAME: Mapping[str, Action] = MappingProxyType({action.name: action for action in ACTIONS})
OWNER, ADMINISTRATOR = "owner", "administrator"


@dataclass(frozen=True, slots=True)
class BuiltInRole:
    """A role that every tenant has; its actions are those that name it in the table."""

    id: str
    name: str
    help: str


BUILT_IN: tuple[BuiltInRole, ...] = (
    BuiltInRole(OWNER, "Owner", "everything inside the tenant"),
    BuiltInRole("operator", "Operator", "runs the fleet: vehicles, models, dead letters, SQL"),
    BuiltInRole("engineer", "Engineer", "works with data and models: SQL, jobs, buckets"),
    BuiltInRole("analyst", "Analyst", "reads everything about the fleet, SQL included"),
    BuiltInRole("viewer", "Viewer", "looks at vehicles and their state"),
    BuiltInRole("auditor", "Auditor", "who did what, who may do what, and what it cost"),
    BuiltInRole(ADMINISTRATOR, "Administrator", "of the whole installation: tenants, system"),
)


def actions_of(role: str) -> frozenset[str] | None:
    """The actions of a built-in role; None = there is no such built-in role."""
    if role == ADMINISTRATOR:
        return frozenset(action.name for action in ACTIONS if action.installation)
    if role == OWNER:
        return frozenset(action.name for action in ACTIONS if not action.installation)
    if all(known.id != role for known in BUILT_IN):
        return None
    return frozenset(action.name for action in ACTIONS if role in action.roles)

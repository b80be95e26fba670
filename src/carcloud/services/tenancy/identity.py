"""From a user and a tenant to what that user may do there."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, select

from carcloud.model.actions import BY_NAME, actions_of
from carcloud.model.ids import Tenant
from carcloud.services.tenancy.store import grants, roles
from carcloud.services.tenancy.types import (
    INSTALLATION,
    Allowed,
    Grant,
    Identity,
    Scope,
)

NOTHING: frozenset[str] = frozenset()


def parsed_scope(text: str) -> Scope:
    """The scope behind `Scope.text`."""
    kind, _, rest = text.partition(":")
    if kind == "project":
        return Scope(project=rest)
    if kind == "labels":
        return Scope(labels=dict(pair.split("=", 1) for pair in rest.split(",")))
    return Scope()


def grant_of(row: Any) -> Grant:
    """A row of `grants`."""
    return Grant(
        row["id"],
        Tenant(row["tenant"]),
        row["user"],
        row["role"],
        parsed_scope(row["scope"]),
        row["created"],
        row["by"],
    )


def custom_roles(db: Connection, tenant: Tenant) -> dict[str, frozenset[str]]:
    """The tenant's own roles: actions by id."""
    rows = db.execute(select(roles.c.id, roles.c.actions).where(roles.c.tenant == tenant))
    return {row.id: frozenset(json.loads(row.actions)) & BY_NAME.keys() for row in rows}


def grants_of(db: Connection, tenant: Tenant, user: str) -> list[Grant]:
    """What a user was granted in a tenant, and on the installation."""
    query = select(grants).where(grants.c.user == user, grants.c.tenant.in_([tenant, INSTALLATION]))
    return [grant_of(row) for row in db.execute(query.order_by(grants.c.created)).mappings()]


@dataclass(frozen=True, slots=True)
class Roles:
    """The actions of a role in one tenant; its own roles are read when first needed."""

    own: Mapping[str, frozenset[str]]

    @classmethod
    def needed(cls, db: Connection, tenant: Tenant, given: Iterable[Grant]) -> "Roles":
        """With the tenant's own roles only where a grant names one."""
        own = any(actions_of(grant.role) is None for grant in given)
        return cls(custom_roles(db, tenant) if own else {})

    def actions(self, grant: Grant) -> frozenset[str]:
        """What a grant allows: those of the installation only there, and the other way round."""
        found = actions_of(grant.role)
        if found is None:
            found = self.own.get(grant.role, NOTHING)
        whole = grant.tenant == INSTALLATION
        return frozenset(name for name in found if BY_NAME[name].installation == whole)


def allowed(given: Iterable[Grant], known: Roles) -> tuple[frozenset[str], tuple[Allowed, ...]]:
    """(allowed everywhere, allowed in parts) by a user's grants."""
    everywhere: frozenset[str] = NOTHING
    partly: dict[str, Allowed] = {}
    for grant in given:
        actions = known.actions(grant)
        if not grant.scope.text:
            everywhere |= actions
        else:
            before = partly.get(grant.scope.text, Allowed(grant.scope, NOTHING))
            partly[grant.scope.text] = replace(before, actions=before.actions | actions)
    return everywhere, tuple(partly.values())


def identity(db: Connection, user: str, tenant: Tenant, *, service: bool) -> Identity:
    """Who works in a tenant, with what that one may do there now."""
    given = grants_of(db, tenant, user)
    everywhere, partly = allowed(given, Roles.needed(db, tenant, given))
    return Identity(user, tenant, everywhere, partly, service=service)


def narrowed(who: Identity, actions: frozenset[str] | None, project: str | None) -> Identity:
    """The same one with no more than `actions`, and only inside `project`."""
    if actions is not None:
        partly = tuple(Allowed(one.scope, one.actions & actions) for one in who.partly)
        everywhere = who.everywhere & actions
        who = replace(who, everywhere=everywhere, partly=partly, actions=actions)
    if project is not None:
        inside = Allowed(Scope(project=project), who.everywhere)
        kept = tuple(one for one in who.partly if one.scope.project == project)
        who = replace(who, everywhere=NOTHING, partly=(inside, *kept), project=project)
    return who

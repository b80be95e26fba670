"""Budgets: what a tenant means to spend in a month, and who has been told that it is gone."""

import json
import secrets
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from carcloud.model.ids import Tenant
from carcloud.model.meters import METER
from carcloud.services.metering.errors import Changed, Invalid, Unknown
from carcloud.services.metering.store import alerts, budgets
from carcloud.services.metering.types import Alert, Budget, BudgetState, Costs, Line, Statement
from carcloud.services.tenancy.api import AuditEntry, record_changes

_MOST = 100  # budgets of a tenant


def create(db: Connection, tenant: Tenant, wanted: Budget, actor: str, now: int) -> Budget:
    """A new budget; raises `Invalid`."""
    _check(wanted)
    if len(every(db, tenant)) >= _MOST:
        raise Invalid("name", f"there are {_MOST} budgets already")
    made = replace(wanted, id=secrets.token_hex(8), created=now, revision=1)
    db.execute(insert(budgets).values(tenant=tenant, created=now, id=made.id, **_columns(made)))
    _record(db, tenant, made.id, actor, "budget.create", None, made)
    return made


def change(
    db: Connection, tenant: Tenant, wanted: Budget, actor: str, if_revision: int | None
) -> Budget:
    """Replace the budget with this id; raises `Unknown`, `Changed`, `Invalid`."""
    _check(wanted)
    old = get(db, tenant, wanted.id)
    if if_revision is not None and old.revision != if_revision:
        raise Changed(f"the budget is at revision {old.revision} now")
    made = replace(wanted, created=old.created, revision=old.revision + 1)
    mine = (budgets.c.id == old.id) & (budgets.c.revision == old.revision)
    if db.execute(update(budgets).where(mine).values(**_columns(made))).rowcount != 1:
        raise Changed("the budget was changed at the same time")
    if made.amount != old.amount:  # its thresholds are other amounts now
        db.execute(delete(alerts).where(alerts.c.budget == old.id))
    _record(db, tenant, made.id, actor, "budget.change", old, made)
    return made


def remove(db: Connection, tenant: Tenant, id: str, actor: str) -> None:
    """Remove a budget and its alerts; raises `Unknown`."""
    old = get(db, tenant, id)
    db.execute(delete(alerts).where(alerts.c.budget == id))
    db.execute(delete(budgets).where(budgets.c.id == id))
    _record(db, tenant, id, actor, "budget.remove", old, None)


def get(db: Connection, tenant: Tenant, id: str) -> Budget:
    """A budget; raises `Unknown`."""
    for budget in every(db, tenant):
        if budget.id == id:
            return budget
    raise Unknown(f"there is no budget {id!r}")


def every(db: Connection, tenant: Tenant) -> list[Budget]:
    """The budgets of a tenant, oldest first."""
    query = select(budgets).where(budgets.c.tenant == tenant)
    return [_budget(row) for row in db.execute(query.order_by(budgets.c.created)).mappings()]


def tenants(db: Connection) -> list[Tenant]:
    """Tenants that have budgets."""
    query = select(budgets.c.tenant).distinct().order_by(budgets.c.tenant)
    return [Tenant(tenant) for tenant in db.execute(query).scalars()]


def state(budget: Budget, costs: Costs | None, mine: Sequence[Alert]) -> BudgetState:
    """What is spent of a budget; a project's part of a forecast is its part of the costs so far."""
    if costs is None:
        return BudgetState(budget, Decimal(0), None, "", mine)
    told = costs.statement
    spent, ahead = Decimal(0), Decimal(0)
    for line in told.lines:
        if budget.meter in (None, line.meter):
            spent += line.amount if budget.project is None else _share(line, budget.project)
    for meter, amount in (costs.forecast.by_meter if costs.forecast else {}).items():
        if budget.meter in (None, meter):
            part = _part(told, meter, budget.project) if budget.project else 1
            ahead += amount * part
    forecast = None if costs.forecast is None else round(ahead, told.decimals)
    return BudgetState(budget, spent, forecast, told.currency, mine)


def _share(line: Line, project: str) -> Decimal:
    return line.by_project.get(project, Decimal(0))


def _part(told: Statement, meter: str, project: str) -> Decimal:
    lines = [line for line in told.lines if line.meter == meter]
    whole = sum((line.amount for line in lines), Decimal(0))
    return sum((_share(line, project) for line in lines), Decimal(0)) / whole if whole else whole


def reached(budget: Budget, spent: Decimal, forecast: Decimal | None) -> list[tuple[str, int]]:
    """(kind, percent) of every threshold that the amounts are at or above."""
    found = [
        ("actual", percent)
        for percent in budget.thresholds
        if spent * 100 >= budget.amount * percent
    ]
    if budget.on_forecast and forecast is not None and forecast > budget.amount:
        found.append(("forecast", 100))
    return found


def note(db: Connection, alert: Alert) -> bool:
    """Keep an alert; False when it was kept before."""
    key = {
        "budget": alert.budget, "period": alert.period,
        "kind": alert.kind, "threshold": alert.threshold,
    }  # fmt: skip
    query = select(alerts.c.time)
    for name, value in key.items():
        query = query.where(alerts.c[name] == value)
    if db.execute(query).first() is not None:
        return False
    row = {**key, "tenant": alert.tenant, "amount": str(alert.amount), "time": alert.time}
    db.execute(insert(alerts).values(**row, told=False))
    return True


def untold(db: Connection) -> list[Alert]:
    """Alerts whose event is not in the stream yet."""
    return _alerts(db, alerts.c.told.is_(False))


def of_period(db: Connection, tenant: Tenant, period: int) -> list[Alert]:
    """A tenant's alerts of a month, in order of time."""
    return _alerts(db, (alerts.c.tenant == tenant) & (alerts.c.period == period))


def told(db: Connection, alert: Alert) -> None:
    """The event of an alert is in the stream."""
    mine = (alerts.c.budget == alert.budget) & (alerts.c.period == alert.period)
    mine &= (alerts.c.kind == alert.kind) & (alerts.c.threshold == alert.threshold)
    db.execute(update(alerts).where(mine).values(told=True))


def _alerts(db: Connection, which: Any) -> list[Alert]:
    query = select(alerts, budgets.c.name).join(budgets, budgets.c.id == alerts.c.budget)
    return [
        Alert(
            row["budget"], row["name"], Tenant(row["tenant"]), row["period"], row["kind"],
            row["threshold"], Decimal(row["amount"]), row["time"],
        )
        for row in db.execute(query.where(which).order_by(alerts.c.time)).mappings()
    ]  # fmt: skip


def _check(budget: Budget) -> None:
    if not 1 <= len(budget.name) <= 100 or not budget.name.isprintable():
        raise Invalid("name", "1 to 100 printable characters")
    if not budget.amount.is_finite() or not 0 < budget.amount < Decimal(10) ** 15:
        raise Invalid("amount", "a number above 0")
    if budget.meter is not None and budget.meter not in METER:
        raise Invalid("meter", f"there is no meter {budget.meter!r}")
    if budget.project is not None and not 1 <= len(budget.project) <= 60:
        raise Invalid("project", "1 to 60 characters")
    percents = list(budget.thresholds)
    rising = percents == sorted(set(percents))
    if not 1 <= len(percents) <= 10 or not rising or not all(1 <= p <= 1000 for p in percents):
        raise Invalid("thresholds", "1 to 10 rising percents, each 1 to 1000")


def _columns(budget: Budget) -> dict[str, Any]:
    return {
        "name": budget.name, "amount": str(budget.amount), "project": budget.project,
        "meter": budget.meter, "thresholds": json.dumps(list(budget.thresholds)),
        "on_forecast": budget.on_forecast, "revision": budget.revision,
    }  # fmt: skip


def _record(
    db: Connection,
    tenant: Tenant,
    id: str,
    actor: str,
    action: str,
    before: Budget | None,
    after: Budget | None,
) -> None:
    told = [None if one is None else _columns(one) for one in (before, after)]
    record_changes(db, [AuditEntry(tenant, actor, action, id, told[0], told[1])])


def _budget(row: Any) -> Budget:
    return Budget(
        id=row["id"],
        name=row["name"],
        amount=Decimal(row["amount"]),
        thresholds=tuple(json.loads(row["thresholds"])),
        project=row["project"],
        meter=row["meter"],
        on_forecast=row["on_forecast"],
        created=row["created"],
        revision=row["revision"],
    )

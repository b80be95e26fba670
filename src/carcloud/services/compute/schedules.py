"""Schedules: jobs that are submitted again and again. Calls block briefly."""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from carcloud.model.ids import Tenant
from carcloud.model.time import from_us, to_us
from carcloud.ports.errors import Conflict
from carcloud.ports.records import Records
from carcloud.services.compute import cron
from carcloud.services.compute.errors import InvalidJob, ScheduleChanged, ScheduleExists
from carcloud.services.compute.rows import find_schedule, schedule_of
from carcloud.services.compute.store import jobs, schedules
from carcloud.services.compute.submission import add
from carcloud.services.compute.types import ENDED, NewJob, NewSchedule, Schedule
from carcloud.services.tenancy.api import AuditEntry, record_changes

log = logging.getLogger(__name__)

_MOST = 1000  # schedules of a tenant


def check(schedule: NewSchedule) -> None:
    """Raises `InvalidJob` naming the field."""
    if schedule.job.after:
        raise InvalidJob("job.after", "a scheduled job cannot wait for others")
    try:
        line = cron.parse(schedule.cron)
        line.after(datetime.fromisoformat("2026-01-01T00:00:00+00:00"), cron.zone("UTC"))
    except cron.InvalidCron as error:
        raise InvalidJob("cron", str(error)) from error
    try:
        cron.zone(schedule.timezone)
    except cron.InvalidCron as error:
        raise InvalidJob("timezone", str(error)) from error


def upcoming(line: str, timezone: str, now_us: int, count: int) -> list[int]:
    """The next `count` times in us; raises `InvalidJob`."""
    check(NewSchedule("any", line, NewJob("any"), timezone))
    times, moment = [], from_us(now_us)
    for _ in range(count):
        moment = cron.parse(line).after(moment, cron.zone(timezone))
        times.append(to_us(moment))
    return times


def create(
    records: Records, tenant: Tenant, new: NewSchedule, *, actor: str, now_us: int
) -> Schedule:
    """A new schedule, checked already; raises `ScheduleExists`."""
    values = _values(new, now_us) | {
        "tenant": tenant, "name": new.name, "actor": actor, "created_us": now_us,
    }  # fmt: skip
    try:
        with records.transaction() as db:
            mine = select(func.count()).select_from(schedules).where(schedules.c.tenant == tenant)
            if db.execute(mine).scalar_one() >= _MOST:
                raise InvalidJob("name", f"a tenant has at most {_MOST} schedules")
            db.execute(insert(schedules).values(**values))
            entry = AuditEntry(tenant, actor, "schedule.create", new.name, None, _told(values))
            record_changes(db, [entry])
            return find_schedule(db, tenant, new.name)
    except Conflict as error:
        raise ScheduleExists(f"there is a schedule {new.name!r}") from error


def replace(
    records: Records, tenant: Tenant, new: NewSchedule, *, actor: str, now_us: int,
    if_revision: int | None,
) -> Schedule:  # fmt: skip
    """Another content for a schedule; raises `UnknownJob`, `ScheduleChanged`."""
    with records.transaction() as db:
        old = find_schedule(db, tenant, new.name)
        if if_revision is not None and old.revision != if_revision:
            raise ScheduleChanged(f"schedule {new.name!r} is at revision {old.revision} now")
        values = _values(new, now_us) | {"revision": old.revision + 1, "actor": actor}
        seen = (*_is(tenant, new.name), schedules.c.revision == old.revision)
        if db.execute(update(schedules).where(*seen).values(**values)).rowcount != 1:
            raise ScheduleChanged(f"schedule {new.name!r} was changed at the same time")
        before = _told(_values(_as_new(old), now_us))
        entry = AuditEntry(tenant, actor, "schedule.change", new.name, before, _told(values))
        record_changes(db, [entry])
        return find_schedule(db, tenant, new.name)


def remove(records: Records, tenant: Tenant, name: str, *, actor: str) -> None:
    """Forget a schedule; its jobs stay. Raises `UnknownJob`."""
    with records.transaction() as db:
        old = find_schedule(db, tenant, name)
        db.execute(delete(schedules).where(*_is(tenant, name)))
        before = {"cron": old.cron, "kind": old.job.kind}
        record_changes(db, [AuditEntry(tenant, actor, "schedule.remove", name, before, None)])


def listed(db: Connection, tenant: Tenant) -> list[Schedule]:
    """The tenant's schedules, by name."""
    query = select(schedules).where(schedules.c.tenant == tenant).order_by(schedules.c.name)
    return [schedule_of(row) for row in db.execute(query).mappings()]


def submit_due(records: Records, now: Callable[[], int]) -> int:
    """Submit the jobs of all schedules whose time has come; returns how many.

    Times that were missed while nobody ran count once.
    """
    moment = now()
    due = schedules.c.enabled & (schedules.c.next_us <= moment)
    with records.reading() as db:
        found = [schedule_of(row) for row in db.execute(select(schedules).where(due)).mappings()]
    for schedule in found:
        with records.transaction() as db:
            _submit(db, schedule, moment, now)
    return len(found)


def _submit(db: Connection, due: Schedule, moment: int, now: Callable[[], int]) -> None:
    values: dict[str, Any] = {"next_us": next_time(due.cron, due.timezone, moment)}
    seen = (*_is(due.tenant, due.name), schedules.c.next_us == due.next_us)
    if db.execute(update(schedules).where(*seen).values(**values)).rowcount != 1:
        return  # somebody else was quicker, or it was changed
    if not due.overlap and due.last_job is not None and _runs(db, due.last_job):
        log.info("schedule %s of %s: the job before has not ended", due.name, due.tenant)
        return
    (job,) = add(db, due.tenant, [due.job], actor=due.actor, now=now, schedule=due.name)
    values = {"last_us": moment, "last_job": job.id}
    db.execute(update(schedules).where(*_is(due.tenant, due.name)).values(**values))


def next_time(line: str, timezone: str, after_us: int) -> int:
    """When a cron line comes next; raises `InvalidCron`."""
    return to_us(cron.parse(line).after(from_us(after_us), cron.zone(timezone)))


def _runs(db: Connection, job: str) -> bool:
    state = db.execute(select(jobs.c.state).where(jobs.c.id == job)).scalar()
    return state is not None and state not in ENDED


def _is(tenant: Tenant, name: str) -> tuple[Any, Any]:
    return (schedules.c.tenant == tenant, schedules.c.name == name)


def _values(new: NewSchedule, now_us: int) -> dict[str, Any]:
    return {
        "cron": new.cron,
        "timezone": new.timezone,
        "job": msgspec.json.encode(new.job).decode(),
        "enabled": new.enabled,
        "overlap": new.overlap,
        "next_us": next_time(new.cron, new.timezone, now_us) if new.enabled else None,
    }


def _as_new(old: Schedule) -> NewSchedule:
    return NewSchedule(old.name, old.cron, old.job, old.timezone, old.enabled, old.overlap)


def _told(values: dict[str, Any]) -> dict[str, object]:
    return {name: values[name] for name in ("cron", "timezone", "enabled", "overlap")}

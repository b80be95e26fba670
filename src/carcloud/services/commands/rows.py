"""Rows of the tables as the service tells them."""

import json
import secrets
from typing import Any

from sqlalchemy import Connection, select

from carcloud.model.ids import Tenant
from carcloud.model.time import iso
from carcloud.services.commands.errors import UnknownCommand
from carcloud.services.commands.secrecy import opened, shown, without_secrets
from carcloud.services.commands.store import commands
from carcloud.services.commands.types import Command, State, Waiting
from carcloud.services.tenancy.api import Seal


def new_id(now_us: int) -> str:
    """A new id of 24 hexadecimal digits; ids grow with time."""
    return f"{now_us:014x}{secrets.token_hex(5)}"


def command_of(row: Any) -> Command:
    """A row of the table."""
    return Command(
        id=row["id"],
        tenant=Tenant(row["tenant"]),
        vehicle=row["vehicle"],
        name=row["name"],
        arguments=shown(row["name"], json.loads(row["arguments"])),
        state=State(row["state"]),
        reason=row["reason"],
        result=None if row["result"] is None else without_secrets(json.loads(row["result"])),
        actor=row["actor"],
        key=row["key"],
        created=row["created_us"],
        expires=row["expires_us"],
        sent=row["sent_us"],
        received=row["received_us"],
        ended=row["ended_us"],
    )


def waiting_of(row: Any, seal: Seal) -> Waiting | None:
    """A row of the table, as a gateway wants it; None where its secrets cannot be opened."""
    arguments = json.loads(row["arguments"])
    if row["sealed"] is not None:
        arguments = opened(seal, row["id"], row["sealed"])
        if arguments is None:
            return None
    return Waiting(
        number=row["number"],
        id=row["id"],
        tenant=Tenant(row["tenant"]),
        vehicle=row["vehicle"],
        name=row["name"],
        arguments=arguments,
        expires=row["expires_us"],
    )


def event_of(command: Command) -> dict[str, Any]:
    """What the event `commands.ended` tells."""
    return {
        "time": iso(command.ended or command.created),
        "command": command.id,
        "vehicle": command.vehicle,
        "name": command.name,
        "state": command.state.value,
        "reason": command.reason,
        "actor": command.actor,
    }


def find(db: Connection, tenant: Tenant, command: str) -> Command:
    """A command of the tenant; raises `UnknownCommand`."""
    mine = (commands.c.tenant == tenant) & (commands.c.id == command)
    known = command.isalnum() and command.isascii()  # no database can look a NUL up
    row = db.execute(select(commands).where(mine)).mappings().first() if known else None
    if row is None:
        raise UnknownCommand(f"there is no command {command!r}")
    return command_of(row)

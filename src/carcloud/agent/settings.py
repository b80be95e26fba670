"""What an agent is told by its file and by flags: one TOML document.

vehicle = "truck-7"
folder = "/var/lib/carcloud-agent"
[server]
host = "cloud.example"
port = 8883
ca = "/etc/carcloud-agent/ca.pem"
token_file = "/etc/carcloud-agent/token"
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carcloud.codecs.campaign.fields import DocumentError, Fields

_TYPES = ("boolean", "number", "integer", "string")


@dataclass(frozen=True, slots=True)
class Server:
    """Where the cloud is, and how the vehicle shows who it is. `ca` or `certificate` mean TLS."""

    host: str = "127.0.0.1"
    port: int = 1883
    tls: bool = False
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    token_file: str | None = None
    keep_alive_s: int = 30


@dataclass(frozen=True, slots=True)
class Argument:
    """What an argument of a command must be. The bounds of a string or list are of its length."""

    type: str
    minimum: float | None = None
    maximum: float | None = None
    needed: bool = True
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hook:
    """An executable that a command runs: arguments as JSON on its input, exit code 0 for done.

    One with a `path` writes that actuator: its argument is `value`.
    """

    name: str
    run: tuple[str, ...]
    timeout_s: float = 30.0
    arguments: tuple[tuple[str, Argument], ...] = ()
    path: str | None = None


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """All of it. Sizes in bytes, times in the unit of their name."""

    vehicle: str
    folder: str = "carcloud-agent"
    server: Server = Server()
    interfaces: tuple[str, ...] = ()
    replay: str | None = None
    speed: float = 1.0
    loop: bool = False
    model: str | None = None
    campaigns: tuple[str, ...] = ()
    report_interval_ms: int = 1000
    report: tuple[str, ...] = ("*",)
    sample_bytes: int = 64 << 20
    spool_bytes: int = 64 << 20
    message_bytes: int = 128 << 10
    checkin_s: int = 120
    clock_skew_ms: int = 2000
    commands: tuple[str, ...] = ()
    hooks: tuple[Hook, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()


def load_settings(file: Path | None, given: Mapping[str, Any]) -> AgentSettings:
    """Settings of a TOML file, with flags over it; raises `DocumentError` naming the field."""
    try:
        whole = {} if file is None else tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DocumentError("", f"{file}: {error}") from error
    for name, value in given.items():
        table, _, key = name.rpartition(".")
        place = whole.setdefault(table, {}) if table else whole
        if not isinstance(place, dict):
            raise DocumentError(table, "expected a table")
        place[key] = value
    fields = Fields(whole)
    settings = _settings(fields)
    fields.finish()
    return settings


def _settings(fields: Fields) -> AgentSettings:
    server = Fields(fields.take("server", {}), "server")
    vehicle = fields.text("vehicle", 128)
    if any(each in vehicle for each in "/+#\0"):
        raise DocumentError("vehicle", "cannot have / + # in it")
    found = AgentSettings(
        vehicle=vehicle,
        folder=fields.text("folder", 4096, "carcloud-agent"),
        server=_server(server),
        interfaces=_texts(fields, "interfaces"),
        replay=fields.text("replay", 4096, None),
        speed=fields.number("speed", 1.0),
        loop=fields.boolean("loop", False),
        model=fields.text("model", 4096, None),
        campaigns=_texts(fields, "campaigns"),
        report_interval_ms=fields.integer("report_interval_ms", 0, 86_400_000, 1000),
        report=_texts(fields, "report", ("*",)),
        sample_bytes=fields.integer("sample_bytes", 1 << 16, 1 << 40, 64 << 20),
        spool_bytes=fields.integer("spool_bytes", 1 << 16, 1 << 44, 64 << 20),
        message_bytes=fields.integer("message_bytes", 1024, 1 << 28, 128 << 10),
        checkin_s=fields.integer("checkin_s", 1, 86_400, 120),
        clock_skew_ms=fields.integer("clock_skew_ms", 0, 86_400_000, 2000),
        commands=_texts(fields, "commands"),
        hooks=fields.items("hooks", 1000, _hook),
        attributes=tuple(
            (name, str(value)) for name, value in fields.take("attributes", {}).items()
        ),
    )
    server.finish()
    if found.speed <= 0:
        raise DocumentError("speed", "must be above 0")
    return found


def _server(fields: Fields) -> Server:
    found = Server(
        host=fields.text("host", 253, "127.0.0.1"),
        port=fields.integer("port", 1, 65_535, 1883),
        tls=fields.boolean("tls", False),
        ca=fields.text("ca", 4096, None),
        certificate=fields.text("certificate", 4096, None),
        key=fields.text("key", 4096, None),
        token_file=fields.text("token_file", 4096, None),
        keep_alive_s=fields.integer("keep_alive_s", 1, 65_535, 30),
    )
    if found.key and not found.certificate:
        raise DocumentError("server.certificate", "is missing beside the key")
    return found


def _texts(fields: Fields, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
    value = fields.take(key, list(default))
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise DocumentError(fields.name(key), "expected a list of strings")
    return tuple(value)


def _hook(fields: Fields) -> Hook:
    run = _texts(fields, "run")
    if not run:
        raise DocumentError(fields.name("run"), "names no executable")
    given = fields.take("arguments", {})
    if not isinstance(given, Mapping):
        raise DocumentError(fields.name("arguments"), "expected a table")
    arguments = []
    for name, value in given.items():
        inner = Fields(value, f"{fields.name('arguments')}.{name}")
        arguments.append((str(name), _argument(inner)))
        inner.finish()
    return Hook(
        name=fields.text("name", 100),
        run=run,
        timeout_s=fields.number("timeout_s", 30.0),
        arguments=tuple(arguments),
        path=fields.text("path", 150, None),
    )


def _argument(fields: Fields) -> Argument:
    return Argument(
        type=fields.choice("type", _TYPES),
        minimum=fields.number("minimum", None),
        maximum=fields.number("maximum", None),
    )

"""`carcloud up`: the whole cloud on this machine, for real use."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from carcloud import lean, logs
from carcloud.cli.examples import ExampleCommand
from carcloud.cli.failure import Failure
from carcloud.config import InvalidSetting, Settings

if TYPE_CHECKING:
    from carcloud.supervisor import Supervisor

out = Console(highlight=False)

_PROTOCOLS = {
    "gbt32960": "GB/T 32960",
    "jt808": "JT/T 808",
    "mqtt": "MQTT",
}  # as listeners and people call them


@click.command(
    name="up",
    cls=ExampleCommand,
    examples=(
        "carcloud up",
        "carcloud up --data /srv/carcloud",
        "carcloud --set web.port=9000 --set gateway.auto_register=true up",
        "carcloud --config carcloud.toml up --roles gateway,ingest",
        "carcloud up --config cluster.toml",
    ),
)
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="The data folder.")
@click.option("--roles", help="What runs here, in place of the setting `roles`.")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file of settings, as before the command.",
)
@click.pass_context
def command(ctx: click.Context, data: Path | None, roles: str | None, config: Path | None) -> None:
    """Start the cloud and keep it running until Ctrl-C.

    The first start makes an administrator and prints the password once.
    """
    began = time.monotonic()
    lean.role()  # which this process forks into
    from carcloud.ports.errors import EngineError
    from carcloud.rundir import HalfRestored, InUse
    from carcloud.supervisor import StartFailed, Supervisor

    settings: Settings = ctx.obj
    if config is not None:
        from carcloud.cli.root import settings_of  # which has this command in its table

        settings = settings_of(config, ctx.find_root().params["given"])
    if data is not None:
        settings = settings.with_values({"data": str(data)})
    logs.set_up("supervisor", settings.text("log.level"), settings.text("log.format"))
    supervisor = Supervisor(settings, _roles(roles or settings.text("roles")), forks=True)
    try:
        admin = _start(supervisor)
        _greet(supervisor, admin, time.monotonic() - began)
        lean.started()
        supervisor.watch()
    except InUse as error:
        raise Failure(str(error), "stop it, or give another --data") from error
    except HalfRestored as error:
        raise Failure(str(error), "") from error
    except (EngineError, InvalidSetting) as error:
        raise Failure(str(error), "see the page Operations") from error
    except StartFailed as error:
        raise Failure(str(error), f"logs are in {supervisor.run.logs}") from error
    finally:
        if supervisor.children:
            with contextlib.suppress(OSError):  # the terminal may be gone
                out.print("Stopping …")
        supervisor.stop()


def _start(supervisor: Supervisor) -> tuple[str, str] | None:
    """Start all; returns the administrator that was made, with the password."""
    from carcloud.app.first_start import prepare
    from carcloud.supervisor import StartFailed

    supervisor.run.claim()
    supervisor.heed_signals()
    supervisor.call()
    supervisor.check_stop()
    admin = prepare(supervisor.settings)
    try:
        supervisor.start()
    except StartFailed:
        _tell(admin)  # the next start makes no other
        raise
    return admin


def _roles(text: str) -> tuple[str, ...]:
    from carcloud.supervisor import ROLES

    roles = tuple(role.strip() for role in text.split(",") if role.strip())
    unknown = [role for role in roles if role not in ROLES]
    if unknown or not roles:
        raise Failure(f"there is no role {', '.join(unknown) or text!r}", f"known: {ROLES}")
    return roles


def _greet(supervisor: Supervisor, admin: tuple[str, str] | None, seconds: float) -> None:
    run = supervisor.run
    web, gateway = run.facts("web"), run.facts("gateway")
    out.print(f"carcloud is ready after {seconds:.1f} s. Data: {run.data}")
    if web:
        out.print(f"  Console     {web['url']}")
        out.print(f"  Buckets     {web['s3']} (S3)")
    for protocol, name in _PROTOCOLS.items():
        if gateway and protocol in gateway:
            address = gateway[protocol]
            out.print(f"  {name:<10}  {address['host']}:{address['port']}")
    _tell(admin)
    out.print("Ctrl-C stops everything.")


def _tell(admin: tuple[str, str] | None) -> None:
    if admin is not None:
        out.print(f"  First sign-in: user {admin[0]}, password {admin[1]} (shown only now)")

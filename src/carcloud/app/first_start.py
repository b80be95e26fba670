"""What a data folder needs before roles start: the tenant, the first administrator."""

import contextlib
from pathlib import Path

from carcloud.app.engines import open_records
from carcloud.app.records import prepare_records
from carcloud.app.secret import sealing_secret
from carcloud.config import Settings
from carcloud.services.tenancy.api import Tenancy
from carcloud.services.vehicles.api import Vehicles


def prepare(settings: Settings) -> tuple[str, str] | None:
    """Make tables, tenant and administrator; returns (user, password) on the very first start.

    Raises `WrongSchema`.
    """
    data = Path(settings.text("data"))
    data.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(PermissionError):  # a mounted folder may belong to somebody else
        data.chmod(0o700)
    prepare_records(settings)
    records = open_records(settings)
    try:
        tenancy = Tenancy(records)
        Vehicles(records, secret=sealing_secret(settings))
        first = tenancy.bootstrap()
        tenancy.tenants.ensure(settings.text("gateway.tenant"))  # care goes by the list of tenants
        return first
    finally:
        records.close()

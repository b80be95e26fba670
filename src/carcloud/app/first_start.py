"""What a data folder needs before roles start: the tenant, the first administrator."""

from pathlib import Path

from carcloud.app.engines import open_records
from carcloud.app.secret import sealing_secret
from carcloud.config import Settings
from carcloud.services.tenancy.api import Tenancy
from carcloud.services.vehicles.api import Vehicles


def prepare(settings: Settings) -> tuple[str, str] | None:
    """Make tables, tenant and administrator; returns (user, password) on the very first start."""
    Path(settings.text("data")).mkdir(parents=True, exist_ok=True)
    records = open_records(settings)
    try:
        tenancy = Tenancy(records)
        Vehicles(records, secret=sealing_secret(settings))
        return tenancy.bootstrap()
    finally:
        records.close()

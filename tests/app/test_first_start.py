"""The data folder before roles start, and its secret."""

import asyncio
import signal
from pathlib import Path

import pytest

from carcloud.app.engines import open_records
from carcloud.app.first_start import prepare
from carcloud.app.secret import sealing_secret
from carcloud.config import InvalidSetting, Settings, load
from carcloud.endings import begin
from carcloud.services.tenancy.api import Tenancy


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    file = tmp_path / "settings.toml"
    file.write_text(f"data = '{tmp_path / 'data'}'\n'gateway.tenant' = 'fleet-a'\n")
    return load(file)


def test_the_gateways_tenant_is_known_and_the_folder_private(settings: Settings) -> None:
    assert prepare(settings) is not None
    assert prepare(settings) is None
    data = Path(settings.text("data"))
    assert data.stat().st_mode & 0o777 == 0o700
    records = open_records(settings)
    assert "fleet-a" in Tenancy(records).tenants.ids()
    records.close()


def test_a_secret_that_was_cut_short_is_not_used(settings: Settings) -> None:
    data = Path(settings.text("data"))
    data.mkdir()
    first = sealing_secret(settings)
    assert len(first) == 32
    assert sealing_secret(settings) == first
    assert [file.name for file in data.iterdir()] == ["secret"]
    (data / "secret").write_bytes(first[:5])
    with pytest.raises(InvalidSetting, match="5 bytes"):
        sealing_secret(settings)


def test_a_long_lived_task_that_fails_ends_the_process() -> None:
    async def scene() -> None:
        told = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)

        async def broken() -> None:
            raise ValueError("broken")

        begin(broken, "a broken task")
        await asyncio.wait_for(told.wait(), 10)

    asyncio.run(scene())

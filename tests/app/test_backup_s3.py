"""A backup of a folder goes into buckets, and one of buckets into a folder."""

import asyncio
from pathlib import Path

import pytest
from tests.app.test_backup import VIN, ingest_up_to, quiet, rows, send, stored
from tests.kill.scene import settings_for
from tests.ports.s3_server import ACCESS, BUCKET, SECRET, seaweed
from tests.services.test_ingest import SIGNALS

from carcloud.app.backup.folder import Reader
from carcloud.app.backup.save import save
from carcloud.app.backup.target import NotEmpty
from carcloud.app.engines import open_blobs, open_lake
from carcloud.app.first_start import prepare
from carcloud.cli.moving import stream_server
from carcloud.cli.restore import restore
from carcloud.config import Settings
from carcloud.ports.lake import QueryLimits

ASKED = f"SELECT count(*), max(\"time\") FROM signals WHERE vehicle = '{VIN}'"  # noqa: S608


def in_buckets(data: Path, endpoint: str) -> Settings:
    secret = data.parent / "s3-secret"
    secret.write_text(SECRET)
    return settings_for(
        data,
        lake__url=f"s3://{BUCKET}/{data.name}/lake",
        blobs__url=f"s3://{BUCKET}/{data.name}/blobs",
        s3__endpoint=endpoint,
        s3__access_key=ACCESS,
        s3__secret_key_file=str(secret),
    )


def copied(settings: Settings, into: Path) -> Reader:
    with stream_server(settings):
        asyncio.run(save(settings, into, quiet))
    return Reader.open(into)


def answers(settings: Settings) -> list[list[object]]:
    lake = open_lake(settings)
    told = lake.query(SIGNALS.tenant, ASKED, QueryLimits()).table.to_pylist()
    lake.close()
    return [list(row.values()) for row in told]


@pytest.mark.soak
def test_a_backup_goes_into_buckets_and_back(tmp_path: Path) -> None:
    weed = tmp_path / "weed"
    weed.mkdir()
    with seaweed(weed) as endpoint:
        first = settings_for(tmp_path / "first")
        second, third = in_buckets(tmp_path / "second", endpoint), settings_for(tmp_path / "third")
        prepare(first)
        open_blobs(first).put("a/b", b"blob")
        with stream_server(first):
            asyncio.run(send(first, range(1, 3)))
            asyncio.run(ingest_up_to(first, 2))
            asyncio.run(send(first, range(3, 4)))
        source = copied(first, tmp_path / "from-first")
        restore(second, source, quiet, force=False, say=print)
        assert open_blobs(second).get("a/b") == b"blob"
        assert not list((tmp_path / "second" / "tenants").rglob("*.parquet"))
        with pytest.raises(NotEmpty):
            restore(second, source, quiet, force=False, say=print)

        with stream_server(second):  # it goes on where the first was
            asyncio.run(ingest_up_to(second, 3))
            asyncio.run(send(second, range(4, 6)))
            asyncio.run(ingest_up_to(second, 5))
        restore(third, copied(second, tmp_path / "from-second"), quiet, force=False, say=print)
        assert stored(third, SIGNALS) == stored(second, SIGNALS) == [1, 2, 3, 4, 5]
        assert answers(third) == answers(second)
        assert open_blobs(third).get("a/b") == b"blob"
        after = copied(third, tmp_path / "from-third")
        assert rows(after).keys() == rows(source).keys()

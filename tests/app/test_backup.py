"""Backups of an installation at awkward moments, and restores that must not go ahead."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from tests.kill.scene import settings_for
from tests.ports.engines_sql import fresh_url, postgresql_server
from tests.services.test_ingest import RAW, SIGNALS, block, report, until_confirmed

from carcloud.app.backup.folder import Reader, Writer, unpacked
from carcloud.app.backup.load import load
from carcloud.app.backup.save import _save_lake, save
from carcloud.app.backup.target import NotEmpty
from carcloud.app.engines import open_blobs, open_engines, open_lake
from carcloud.app.first_start import prepare
from carcloud.app.ingest import make_ingest
from carcloud.app.records import open_any_records
from carcloud.app.schema.steps import migrate
from carcloud.cli.moving import stream_server
from carcloud.cli.restore import restore
from carcloud.cli.root import main
from carcloud.config import Settings
from carcloud.engines.lake_delta.lake import DeltaLake
from carcloud.engines.records_sql import SqlRecords
from carcloud.model.ids import Tenant
from carcloud.ports.lake import Slice, TableCopy, TableRef
from carcloud.rundir import RunDir
from carcloud.services.tenancy.api import Tenancy

pytestmark = pytest.mark.timeout(400)  # who ingests first compiles the decoders
VIN = "LTESTVNA4A0000101"


def quiet(_part: str, _size: int) -> None:
    """Nobody looks at the progress."""


async def send(settings: Settings, seconds: range) -> None:
    """One report a second, each in a message of its own."""
    engines = await open_engines(settings, patient=True)
    for second in seconds:
        data = block((VIN, report(VIN, second)))
        seq = await engines.stream.publish("frames.default.gbt32960", data, f"s{second}")
        assert seq == second
    await engines.close()


async def ingest_up_to(settings: Settings, seq: int) -> None:
    engines = await open_engines(settings, patient=True)
    await until_confirmed(engines.stream, seq, make_ingest(settings, engines))
    await engines.close()


def stored(settings: Settings, table: TableRef) -> list[int]:
    """The seconds that a table has, in order."""
    lake = open_lake(settings)
    seqs = lake.read(table, Slice(columns=("seq",)))["seq"].to_pylist()
    lake.close()
    return sorted(seqs)


def copy_while(first: Settings, into: Path, meanwhile: Callable[[Settings], None]) -> None:
    """A backup during which something happens, when the first file of the lake is copied."""
    happened = False

    def tell(part: str, _size: int) -> None:
        nonlocal happened
        if part == "lake" and not happened:
            happened = True
            meanwhile(first)

    with stream_server(first):
        asyncio.run(send(first, range(1, 2)))
        asyncio.run(ingest_up_to(first, 1))
        asyncio.run(send(first, range(2, 4)))
        asyncio.run(save(first, into, tell))
    assert happened


def restored(second: Settings, source: Path) -> None:
    with stream_server(second):
        asyncio.run(load(second, Reader.open(source), quiet))


@pytest.mark.soak
def test_tables_copied_at_different_times_lose_nothing(tmp_path: Path) -> None:
    """Ingest commits what was copied from the stream after one table was copied, and before
    another; and frames that came after the stream was copied, too."""
    first, second = settings_for(tmp_path / "first"), settings_for(tmp_path / "second")
    prepare(first)

    def meanwhile(settings: Settings) -> None:
        asyncio.run(send(settings, range(4, 6)))
        asyncio.run(ingest_up_to(settings, 5))

    copy_while(first, tmp_path / "copy", meanwhile)
    restored(second, tmp_path / "copy")
    assert (stored(second, RAW), stored(second, SIGNALS)) == ([1], [1, 2, 3, 4, 5])
    prepare(second)
    with stream_server(second):
        asyncio.run(send(second, range(6, 7)))
        asyncio.run(ingest_up_to(second, 6))
    assert stored(second, SIGNALS) == [1, 2, 3, 4, 5, 6]
    assert stored(second, RAW) == [1, 2, 3, 6]  # 4 and 5 came when the backup had begun


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of an installation with a lake, a message and a blob."""
    root = tmp_path_factory.mktemp("copy")
    first = settings_for(root / "first")
    prepare(first)
    open_blobs(first).put("a/b", b"blob")
    with stream_server(first):
        asyncio.run(send(first, range(1, 3)))
        asyncio.run(ingest_up_to(first, 2))
        asyncio.run(send(first, range(3, 4)))
        asyncio.run(save(first, root / "copy", quiet))
    return root / "copy"


def run(data: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["--set", f"data={data}", *words])


def files(root: Path) -> dict[str, bytes]:
    """All files of a folder but those of processes."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.relative_to(root).parts[0] not in ("run", "logs")
    }


KILLED = """
import os, sys
from pathlib import Path
from carcloud.app.backup.folder import Reader
from carcloud.cli.restore import restore
from carcloud.config import Settings

restore(
    Settings({"data": sys.argv[1]}),
    Reader.open(Path(sys.argv[2])),
    lambda part, size: part == "lake" and os._exit(9),
    force=True,
    say=print,
)
"""


@pytest.mark.soak
def test_a_restore_that_was_killed_must_be_run_again(tmp_path: Path, copy: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "secret").write_bytes(b"old")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(data), str(copy)], check=False)
    assert killed.returncode == 9
    assert (data / "secret").read_bytes() != b"old"
    for words in (["up"], ["backup", str(tmp_path / "x")], ["migrate"], ["migrate", "--check"]):
        refused = run(data, *words)
        assert refused.exit_code == 1
        assert "run `carcloud restore` again" in " ".join(refused.output.split()), words
    assert not (data / "records.sqlite").exists()
    again = run(data, "restore", str(copy))
    assert again.exit_code == 0, again.output
    assert not (data / "restoring").exists()
    assert sorted(stored(Settings({"data": str(data)}), SIGNALS)) == [1, 2]
    aside = [(folder / "secret").read_bytes() for folder in data.glob("before-restore-*")]
    assert b"old" in aside
    assert run(data, "migrate", "--check").exit_code == 0


def test_a_restore_that_fails_leaves_all_as_it_was(tmp_path: Path, copy: Path) -> None:
    data = tmp_path / "data"
    (data / "tenants" / "x" / "lake" / "t").mkdir(parents=True)
    (data / "secret").write_bytes(b"old")
    (data / "tenants" / "x" / "lake" / "t" / "file").write_bytes(b"1")
    before = files(data)

    def fail(part: str, _size: int) -> None:
        if part == "lake":
            raise OSError(28, "no room")

    with pytest.raises(OSError, match="no room"):
        restore(Settings({"data": str(data)}), Reader.open(copy), fail, force=True, say=print)
    assert files(data) == before
    assert not list(data.glob("before-restore-*"))
    RunDir(data).claim()


def test_what_forbids_a_restore_is_seen_before_anything_moves(tmp_path: Path, copy: Path) -> None:
    data, inside = tmp_path / "data", tmp_path / "data" / "copy"
    shutil.copytree(copy, inside)
    (data / "key").write_bytes((copy / "secret").read_bytes())
    other = tmp_path / "other.sqlite"
    records = SqlRecords(f"sqlite:///{other}")
    migrate(records)
    records.close()
    before = files(data)
    for source, given, words in (
        (inside, [], "the backup is in the data folder"),
        (copy, [f"secret_file={data / 'key'}"], "secret_file is in the data folder"),
        (copy, [f"records.url=sqlite:///{other}"], "the records have tables"),
    ):
        pairs = [word for pair in given for word in ("--set", pair)]
        refused = run(data, *pairs, "restore", str(source), "--force")
        assert refused.exit_code == 1
        assert words in " ".join(refused.output.split())
        assert files(data) == before


def test_nothing_is_written_beside_a_lake_or_at_an_unknown_revision(
    tmp_path: Path, copy: Path
) -> None:
    data = tmp_path / "data"
    table = data / "tenants" / "default" / "lake" / "signals"
    table.mkdir(parents=True)
    (table / "file.parquet").write_bytes(b"1")
    refused = run(data, "restore", str(copy))
    assert "the lake has tables" in " ".join(refused.output.split())
    assert set(files(data)) == {"tenants/default/lake/signals/file.parquet"}
    later = tmp_path / "later"
    shutil.copytree(copy, later)
    words = (later / "manifest.json").read_text()
    revision = Reader.open(copy).manifest.revision
    (later / "manifest.json").write_text(words.replace(f'"{revision}"', '"9999"'))
    refused = run(tmp_path / "new", "restore", str(later))
    assert "its records are at revision 9999" in " ".join(refused.output.split())
    assert files(tmp_path / "new") == {}


def test_a_backup_is_made_before_the_tables_are_brought_forward(tmp_path: Path) -> None:
    data, copied = tmp_path / "data", tmp_path / "copied"
    missing = run(data, "backup", str(copied))
    assert "no installation" in " ".join(missing.output.split())
    checked = run(data, "migrate", "--check")
    assert (checked.exit_code, "revision base" in checked.output) == (1, True)
    assert not (data / "records.sqlite").exists()
    prepare(Settings({"data": str(data)}))
    assert run(data, "migrate", "--to", "0002").exit_code == 0
    made = run(data, "backup", str(copied))
    assert made.exit_code == 0, made.output
    assert Reader.open(copied).manifest.revision == "0002"
    assert run(tmp_path / "second", "restore", str(copied)).exit_code == 0
    assert run(tmp_path / "second", "migrate", "--check").exit_code == 0


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Any]:
    with postgresql_server() as server:
        yield server


def rows(source: Reader) -> dict[str, list[str]]:
    """The rows of all tables of a backup."""
    found = {}
    for name in source.names("records"):
        columns, *values = unpacked(source.pieces(name))
        found[name] = sorted(
            str(sorted(zip(columns, value, strict=True), key=str)) for value in values
        )
    return found


@pytest.mark.soak
def test_a_backup_goes_to_the_other_database_and_back(
    tmp_path: Path, copy: Path, request: pytest.FixtureRequest
) -> None:
    url = fresh_url("postgresql", tmp_path, request)
    second = Settings({"data": str(tmp_path / "second"), "records.url": url})
    third = Settings({"data": str(tmp_path / "third")})
    source = Reader.open(copy)
    restore(second, source, quiet, force=False, say=print)
    with pytest.raises(NotEmpty, match="the records have tables"):
        restore(second, source, quiet, force=True, say=print)
    records = open_any_records(second)
    Tenancy(records).tenants.ensure("another")  # numbers go on where those of the backup end
    records.close()
    with stream_server(second):
        asyncio.run(save(second, tmp_path / "from-second", quiet))
    restore(third, Reader.open(tmp_path / "from-second"), quiet, force=False, say=print)
    records = open_any_records(third)
    assert "another" in Tenancy(records).tenants.ids()
    records.close()
    with stream_server(third):
        asyncio.run(save(third, tmp_path / "from-third", quiet))
    before = rows(Reader.open(tmp_path / "from-second"))
    after = rows(Reader.open(tmp_path / "from-third"))
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"records/record_versions.rows"}
    assert sum(map(len, before.values())) > sum(map(len, rows(source).values()))


def test_a_table_that_goes_with_its_tenant_meanwhile_is_left_out(tmp_path: Path) -> None:
    class Going(DeltaLake):
        """Its tables are removed after they were listed once."""

        def copies(self, tenant: Tenant) -> Iterator[TableCopy]:
            found = list(super().copies(tenant))
            self.remove(tenant)
            return iter(found)

    row = {"vehicle": [VIN], "time": pa.array([0], pa.timestamp("us", "UTC")), "seq": [1]}
    tenant, lake = Tenant("leaver"), Going(tmp_path / "lake")
    lake.append(TableRef(tenant, "trips"), pa.table(row), writer="w", seq=1)
    assert _save_lake(lake, [tenant], Writer(tmp_path / "backup", quiet)) == {}
    assert not (tmp_path / "backup").exists()

"""Revisions of the records' tables: forward, back, refused, and equal to what services expect."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from click.testing import CliRunner
from tests.ports.engines_sql import DATABASES, fresh_url, postgresql_server

import carcloud.services
from carcloud.app.backup import records as backup
from carcloud.app.backup.folder import Manifest, Reader, Writer
from carcloud.app.engines import open_records
from carcloud.app.first_start import prepare
from carcloud.app.records import open_any_records, records_url
from carcloud.app.schema import draft as drafts
from carcloud.app.schema import revision, steps
from carcloud.app.schema.tables import TABLES
from carcloud.cli.root import main
from carcloud.config import Settings
from carcloud.engines import records_versions
from carcloud.engines.records_sql import SqlRecords
from carcloud.model.ids import Tenant
from carcloud.ports.errors import Conflict
from carcloud.services.commands.api import Commands, NewCommand
from carcloud.services.tenancy.api import Tenancy

NEXT = '''"""Say where a tenant lives."""

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{head}"


def upgrade() -> None:
    with op.batch_alter_table("tenants") as table:
        table.add_column(sa.Column("country", sa.String(2), nullable=False, server_default="CN"))


def downgrade() -> None:
    with op.batch_alter_table("tenants") as table:
        table.drop_column("country")
'''


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Any]:
    with postgresql_server() as server:
        yield server


@pytest.fixture(params=DATABASES)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    url = fresh_url(request.param, tmp_path, request)
    return Settings({"data": str(tmp_path / "data"), "records.url": url})


@pytest.fixture
def records(settings: Settings) -> Iterator[SqlRecords]:
    opened = open_any_records(settings)
    yield opened
    opened.close()


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A carcloud that has one revision more."""
    folder = tmp_path / "later"
    (folder / "versions").mkdir(parents=True)
    for file in (revision.FOLDER / "versions").glob("r*.py"):
        (folder / "versions" / file.name).write_text(file.read_text())
    head = steps._scripts().get_current_head()
    (folder / "versions" / "r9999_country.py").write_text(NEXT.format(head=head))

    def upgraded() -> None:
        monkeypatch.setattr(revision, "FOLDER", folder)
        steps._scripts.cache_clear()

    yield upgraded  # type: ignore[misc]
    monkeypatch.undo()
    steps._scripts.cache_clear()


def names(records: SqlRecords) -> set[str]:
    with records.reading() as db:
        return set(sa.inspect(db).get_table_names())


def test_the_newest_revision_is_what_the_services_expect(records: SqlRecords) -> None:
    """Fails when a table is changed without a revision: `./dev migration` drafts one."""
    steps.migrate(records)
    with records.migrating() as db:
        context = MigrationContext.configure(db, opts={"compare_server_default": True})
        assert compare_metadata(context, TABLES) == []


def test_no_service_keeps_tables_that_nobody_revises() -> None:
    found = {id(records_versions.metadata)}  # the engine's own
    for module in pkgutil.walk_packages(carcloud.services.__path__, "carcloud.services."):
        for _, value in inspect.getmembers(importlib.import_module(module.name)):
            if isinstance(value, sa.MetaData):
                found.add(id(value))
    assert found == {id(metadata) for metadata in TABLES}


def test_forward_and_back_to_nothing_and_forward_again(records: SqlRecords) -> None:
    steps.migrate(records)
    whole = names(records)
    assert len(whole) > 40
    steps.migrate(records, "base")
    assert names(records) == {"alembic_version"}
    steps.migrate(records)
    assert names(records) == whole


def test_rows_stay_when_a_table_changes_and_changes_back(
    settings: Settings, records: SqlRecords, later: Any
) -> None:
    prepare(settings)
    Tenancy(records).tenants.ensure("another")
    head = steps.state(records).at
    later()
    assert [step.revision for step in steps.state(records).pending] == ["9999"]
    assert [step.revision for step in steps.migrate(records)] == ["9999"]
    query = sa.text("SELECT id, country FROM tenants ORDER BY id")
    with records.reading() as db:
        assert db.execute(query).all() == [("another", "CN"), ("default", "CN")]
    steps.migrate(records, head)
    assert steps.state(records).at == head
    assert sorted(Tenancy(records).tenants.ids()) == ["another", "default"]


def test_sealed_passwords_are_never_sent_as_they_are_shown(records: SqlRecords) -> None:
    steps.migrate(records)
    commands = Commands(records, secret=bytes(32))
    tenant, car = Tenant("a"), "LTEST00000000DG01"
    Tenancy(records).tenants.ensure("a")
    sealed, plain = (
        commands.give(tenant, car, NewCommand("set-parameters", {"parameters": one}), actor="ann")
        for one in ({"main_password": "open-sesame"}, {"heartbeat_s": 30})
    )
    steps.migrate(records, "0013")
    with records.reading() as db:
        rows = db.execute(sa.text("SELECT id, state, ended_us FROM commands ORDER BY number")).all()
    assert [(row.id, row.state) for row in rows] == [
        (sealed.id, "cancelled"), (plain.id, "created")
    ]  # fmt: skip
    assert rows[0].ended_us > 0
    with records.transaction() as db:
        db.execute(
            sa.text("UPDATE commands SET arguments = :one WHERE ended_us IS NOT NULL"),
            {"one": '{"parameters": {"main_password": "open-sesame"}}'},
        )
    steps.migrate(records)
    assert commands.get(tenant, sealed.id).arguments == {}
    assert commands.get(tenant, plain.id).arguments == {"parameters": {"heartbeat_s": 30}}


def test_processes_refuse_an_older_and_a_newer_database(
    settings: Settings, records: SqlRecords, later: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(settings)
    ours = revision.FOLDER
    head = steps.state(records).at
    later()
    with pytest.raises(revision.WrongSchema, match="run `carcloud migrate`"):
        open_records(settings)
    if records.kind == "postgresql":  # never of itself: many processes share it
        with pytest.raises(revision.WrongSchema, match="run `carcloud migrate`"):
            prepare(settings)
        steps.migrate(records)
    else:
        prepare(settings)
        copies = list((Path(settings.text("data")) / "backups").glob("records-*.sqlite"))
        assert len(copies) == 1
        assert copies[0].stat().st_mode & 0o077 == 0
        copy = SqlRecords(f"sqlite:///{copies[0]}")
        assert steps.state(copy).at == head
        copy.close()
    open_records(settings).close()
    monkeypatch.setattr(revision, "FOLDER", ours)
    steps._scripts.cache_clear()
    with pytest.raises(revision.WrongSchema, match="does not know"):
        open_records(settings)


def test_a_revision_that_fails_changes_nothing(
    settings: Settings, records: SqlRecords, later: Any, tmp_path: Path
) -> None:
    prepare(settings)
    later()
    file = tmp_path / "later" / "versions" / "r9999_country.py"
    file.write_text(
        file.read_text().replace("def downgrade", "    op.execute('x')\n\ndef downgrade")
    )
    before = names(records), steps.state(records).at
    with pytest.raises(Exception, match="syntax error"):
        steps.migrate(records)
    assert (names(records), steps.state(records).at) == before
    with records.reading() as db:
        assert "country" not in {c["name"] for c in sa.inspect(db).get_columns("tenants")}


def test_a_revision_that_breaks_references_is_taken_back(records: SqlRecords) -> None:
    if records.kind != "sqlite":
        pytest.skip("PostgreSQL checks references itself, always")
    steps.migrate(records)
    with pytest.raises(Conflict, match="refer to others"), records.migrating() as db:
        db.exec_driver_sql("INSERT INTO vehicle_chips VALUES ('nobody', 'chip')")
    with records.reading() as db:
        assert db.exec_driver_sql("SELECT count(*) FROM vehicle_chips").scalar_one() == 0


def test_a_database_of_before_revisions_is_taken_over(
    settings: Settings, records: SqlRecords
) -> None:
    Tenancy(records).tenants.ensure("another")  # makes its own tables alone
    assert steps.state(records).at == "base"
    steps.migrate(records)
    open_records(settings).close()
    assert "another" in Tenancy(records).tenants.ids()
    with records.migrating() as db:
        assert compare_metadata(MigrationContext.configure(db), TABLES) == []


def test_what_processes_keep_in_memory_is_read_anew_after_revisions_and_restores(
    settings: Settings, records: SqlRecords, tmp_path: Path
) -> None:
    """The number that tells of changes never comes back to one that somebody has seen."""
    prepare(settings)
    live = open_any_records(settings)
    seen = [live.version()]
    writer = Writer(tmp_path / "copy", lambda _part, _size: None)
    writer.begin()
    backup.save(records, writer)
    steps.migrate(records, "0002")
    steps.migrate(records)
    seen.append(records.version())
    kept = Manifest("", steps.state(records).at, "", "", {}, {}, {}, 0, writer.files)
    backup.load(records, Reader(tmp_path / "copy", kept))
    seen += [records.version(), live.version()]
    live.close()
    assert seen[0] < seen[1] < seen[2] == seen[3]


def test_the_password_of_the_database_comes_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("p@ss/w:d\n")
    given = {"records.url": "postgresql://cars@db/cars?sslmode=require"}
    settings = Settings({**given, "records.password_file": str(tmp_path / "password")})
    found = sa.make_url(records_url(settings))
    assert (found.username, found.password, found.host) == ("cars", "p@ss/w:d", "db")
    assert found.query == {"sslmode": "require"}


def test_the_command_checks_goes_forward_and_back(settings: Settings) -> None:
    def run(*words: str) -> Any:
        pairs = [f"{name}={settings.text(name)}" for name in ("data", "records.url")]
        given = [word for pair in pairs for word in ("--set", pair)]
        return CliRunner().invoke(main, [*given, "migrate", *words])

    checked = run("--check")
    assert checked.exit_code == 1, checked.output
    assert "0001" in checked.output
    newest = sorted(revision.FOLDER.glob("versions/r*.py"))[-1].name[1:5]
    assert f"are at revision {newest}" in run().output.replace("\n", " ")
    assert run("--check").exit_code == 0
    back = run("--to", "base")
    assert back.exit_code == 0, back.output
    assert "at revision base" in back.output
    unknown = run("--to", "4711")
    assert unknown.exit_code == 1
    assert "there is no revision '4711'" in unknown.output


def test_a_draft_is_written_only_where_something_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert drafts.draft("nothing", tmp_path) is None
    extra = sa.MetaData()
    sa.Table("chargers", extra, sa.Column("id", sa.String(40), primary_key=True))
    monkeypatch.setattr(drafts, "TABLES", (*TABLES, extra))
    written = drafts.draft("Places of chargers", tmp_path)
    assert written is not None
    assert written.name.endswith("_places_of_chargers.py")
    assert "op.create_table" in written.read_text()
    compile(written.read_text(), str(written), "exec")

"""Every command that a page or a `--help` shows is run on a cloud with a few cars, and works.

A command may come with others that must have been done before it (`FIRST`), and with values that
differ on every installation, such as the id of a job (`Names`). Those that run a whole cloud of
their own have tests of their own (`ELSEWHERE`).
"""

import asyncio
import dataclasses
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import click
import httpx
import pyarrow.parquet as pq
import pytest
import uvloop
from click.testing import CliRunner

from carcloud.app.first_start import prepare
from carcloud.cli import main
from carcloud.cli.client import find_access
from carcloud.config import Settings
from carcloud.simulator.options import SimulateOptions
from carcloud.simulator.run import simulate
from carcloud.supervisor import Supervisor

# A cloud that starts for the first time compiles its decoders.
pytestmark = pytest.mark.timeout(400)

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CARS = 3
VIN = "LTESTVNA4A0000101"
JOB, ID = "0651c3a1b2c3d4e5f60718293a4b", "0a1b2c3d4e5f6071"  # as the pages have them
PASSWORD = "correct horse battery"

# command -> the test that runs it
ELSEWHERE = {
    r"\./dev (demo|test|lint|bench|docs|help|up)\b": "the script itself, tests/test_demo.py",
    r"carcloud demo\b": "tests/test_demo.py",
    r"carcloud (--\S+ \S+ )*up\b(?! --help)": "tests/test_up.py",
    r"carcloud (--\S+ \S+ )*(backup|restore)\b": "tests/kill/test_backup.py",
    r"carcloud restart\b": "tests/kill/test_restart.py",
    r"carcloud (--\S+ \S+ )*migrate\b(?! --check)": "tests/app/test_schema.py",
    r"carcloud --set data=(upper|lower)\b": "tests/kill/test_forwarding_page.py",
    r"carcloud simulate --port 32971\b": "tests/kill/test_forwarding_page.py",
    r"carcloud agent\b": "tests/agent; it runs until it is stopped",
    r"carcloud query .*\btrip_stats\b": "tests/test_docs_compute.py, test_tables.py beside jobs",
    r"carcloud campaigns\b": "tests/web/test_campaign_routes.py",
    r"carcloud models mapping\b": "tests/web/test_mapping_routes.py",
    r"carcloud signals overlay\b": "tests/web/test_signal_routes.py",
    r"(\./dev run )?carcloud commands give .*--wait": "tests/gateway/test_mqtt_agent.py",
    r"carcloud can import drive\.mf4\b": "tests/services/test_can_import.py, which has such a log",
    r"carcloud tables drop\b": "tests/web/test_table_routes.py",
    r"carcloud tenants approve-deletion\b": "tests/web/test_tenant_deletions.py",
    r"(device/bin/python|cc) .*mqtt_device|\./mqtt_device": "tests/gateway/test_mqtt_devices.py",
    r"python3 -m venv device|device/bin/pip": "these reach a registry of packages",
    r"carcloud jobs submit script\b": "tests/test_docs_compute.py, where a sandbox is available",
}
# command -> what must have been done before; it may have been done already
FIRST = {
    r"vehicles (set|show|retire|token)": [f"carcloud vehicles add {VIN}"],
    r"vehicles token .*--revoke": [f"carcloud vehicles token {VIN}"],
    r"car-0001\.token": ["carcloud vehicles add CAR-0001"],
    r"\(cat car-0001\.token\)": ["carcloud vehicles token CAR-0001 > car-0001.token"],
    r"forwarding add": ["carcloud forwarding remove city --yes"],
    r"users (add|remove) ann|users add nora": [
        "carcloud users remove ann --yes",
        "carcloud users remove nora --yes",
    ],
    r"users .*\bann\b(?! --role)|roles .*\bann\b": ["carcloud users add ann --role operator"],
    r"login-providers remove": [
        "carcloud login-providers set north --name N --issuer https://login.example.com "
        "--client-id carcloud"
    ],
    r"roles grant nora": ["carcloud users add nora --role operator"],
    r"roles (grant ann look|remove look)": [
        "carcloud roles create look --name Look --action vehicles:read"
    ],
    r"roles create look": ["carcloud roles remove look"],
    r"users add-service nightly": ["carcloud users remove nightly@default --yes"],
    r"buckets set recordings|objects .*recordings/": ["carcloud buckets create recordings"],
    r"buckets remove old": ["carcloud buckets create old"],
    r"objects put -r pictures": ["carcloud buckets create shop"],
    r"objects get recordings/2026": ["carcloud objects put drive.mcap recordings/2026/"],
    r"objects get recordings/logs": ["tar c logs | carcloud objects put - recordings/logs.tar"],
    r"costs close north-fleet": [
        "carcloud tenants create north-fleet --name North --owner olga --password-file password.txt"
    ],
    r"tenants (storage|export|exports|remove-export) .*north-fleet": [
        "carcloud tenants create north-fleet --name North --owner olga --password-file password.txt"
    ],
    r"tenants .*\bold-fleet": [
        "carcloud tenants create old-fleet --name Old --owner oleg --password-file password.txt",
        "carcloud tenants cancel-deletion old-fleet",
        "carcloud tenants suspend old-fleet",
    ],
    r"tenants (deletion|cancel-deletion) old-fleet": [
        "carcloud tenants delete old-fleet --confirm old-fleet"
    ],
    r"commands .*LTEST00000000A001": ["carcloud vehicles add LTEST00000000A001"],
    r"can import .*CAR-1\b": ["carcloud vehicles add CAR-1"],
    r"vehicles add CAR-0007\b": ["carcloud models add car"],
    r"vehicles token CAR-0007\b": ["carcloud vehicles add CAR-0007 --model car"],
    r"keys create export": ["carcloud users add-service nightly --role analyst"],
}
UNMAKES = r"\b(remove|retire|revoke|delete|cancel-deletion|suspend|close)\b"
# Once in the life of a cloud: these go first.
MAKES = r"tenants add-project|models add|vehicles add|buckets create|costs prices-add"
ASKS = r"(users (add|password)|tenants create|platforms grant|forwarding add) "
FILES = {
    "fleet.csv": f"id,label:depot\n{VIN},north\n",
    "question.sql": "SELECT count(*) AS reports FROM signals\n",
    "speeds.sql": 'SELECT vehicle, "Vehicle.Speed" AS speed FROM signals\n',
    "capture.txt": "232307FE4C54455354564E41344130303030313031010000BE\n",
    "report.json": '{"kind": "query-export", "params": {"sql": "SELECT 1 AS one"}}\n',
    "city.txt": "as they gave it\n",
    "maker.txt": "kept between us\n",
    "password.txt": "kept between us\n",
    "drive.mcap": "a drive",
    "logs/monday.txt": "all quiet\n",
    "pictures/wheel.png": "a wheel",
    **dict(
        re.findall(
            r'```text title="(car\.dbc|drive\.log)"\n(.*?)```',
            (ROOT / "docs" / "can.md").read_text(),
            re.S,
        )
    ),
    "trip.asc": "date Sat Sep 30 15:06:13 2017\nbase hex\n 1.0 1 100 Rx d 1 00\n",
    "car.yaml": "dbc: [car.dbc]\nsignals:\n  Vehicle.Speed:\n    can: Motion.Speed\n",
    "trace.txt": "7e0002400001000000000139000001010003787e\n",
    "prices.json": re.findall(
        r"```json\n(.*?)```", (ROOT / "docs" / "metering.md").read_text(), re.S
    )[0],
}


@dataclasses.dataclass(frozen=True)
class Site:
    """A running cloud, and the folder in which the commands are typed."""

    folder: Path
    url: str
    token: str
    port: int
    jobs: dict[str, str]  # file that a job has made -> id of the job

    def shell(self, command: str) -> tuple[int, str]:
        """Run one line: exit code, output. The command of carcloud runs in this process."""
        if not re.match(r"carcloud |echo ", command) or "| tar" in command:
            return self._bash(command)
        before, pipe, rest = command.partition(" | carcloud")
        given = before.removeprefix("echo ").strip("'") + "\n" if pipe else ""
        words = shlex.split("carcloud" + rest if pipe else command, comments=True)
        out = words[words.index(">") + 1] if ">" in words else None
        if "<" in words:
            given = (self.folder / words[words.index("<") + 1]).read_text()
        if words[0] == "echo":
            (self.folder / str(out)).write_text(" ".join(words[1 : words.index(">")]) + "\n")
            return 0, ""
        args = words[1 : min((words.index(each) for each in "<>" if each in words), default=None)]
        answer = CliRunner().invoke(main, args, input=given or f"{PASSWORD}\n" * 4)
        if answer.exception and not isinstance(answer.exception, SystemExit):
            raise answer.exception
        if out:
            file = self.folder / out.removeprefix("~/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(answer.stdout_bytes)
        return answer.exit_code, answer.output

    def _bash(self, command: str) -> tuple[int, str]:
        """What takes a shell of its own, with `carcloud` on its path."""
        tool = self.folder / "bin" / "carcloud"
        tool.parent.mkdir(exist_ok=True)
        tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m carcloud "$@"\n')
        tool.chmod(0o755)
        env = {
            **os.environ,
            "PATH": f"{tool.parent}{os.pathsep}{os.environ['PATH']}",
            "CARCLOUD_TOKEN": self.token,
        }
        done = subprocess.run(
            ["bash", "-euc", command], env=env, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr


def examples() -> list[str]:
    """Commands of the pages and of every `--help`, each once, in their order."""
    found: dict[str, None] = {}
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                found[re.sub(r"\s+#.*", "", line).strip()] = None
    _of_help(main, found)
    return [line for line in found if line]


def _of_help(command: click.Command, found: dict[str, None]) -> None:
    found.update(dict.fromkeys(getattr(command, "examples", ())))
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            _of_help(command.get_command(context, name) or command, found)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("desk")
    free = {
        "web.port": 0,
        "storage.port": 0,
        "gateway.gbt32960.port": 0,
        "gateway.jt808.port": 0,
        "gateway.mqtt.port": 0,
        "gateway.auto_register": True,
    }
    settings = Settings({"data": str(folder / "carcloud-data"), **free})
    prepare(settings)
    supervisor, stop = Supervisor(settings), threading.Event()
    back = Path.cwd()
    try:
        supervisor.start()
        port = supervisor.run.facts("gateway")["gbt32960"]["port"]
        fleet = threading.Thread(target=lambda: uvloop.run(_drive(port, stop)))
        fleet.start()
        os.chdir(folder)
        for name, text in FILES.items():
            Path(name).parent.mkdir(exist_ok=True)
            Path(name).write_text(text)
        access = find_access(settings=settings)
        made = Site(folder, access.url, access.token, port, {})
        headers = {"Authorization": f"Bearer {access.token}"}
        for id, name in (("ev-one", "EV One"), ("e-sedan", "E Sedan")):
            model = {"id": id, "name": name}
            httpx.post(f"{access.url}/v1/models", json=model, headers=headers).raise_for_status()
        _wait_for_rows(made)
        yield dataclasses.replace(made, jobs=_jobs(made))
        stop.set()
        fleet.join()
    finally:
        os.chdir(back)
        stop.set()
        supervisor.stop()


async def _drive(port: int, stop: threading.Event) -> None:
    ended = asyncio.Event()
    running = asyncio.create_task(
        simulate(SimulateOptions(port=port, vehicles=CARS, seed=5), stop=ended)
    )
    while not stop.is_set():
        await asyncio.sleep(0.1)
    ended.set()
    await running


def _wait_for_rows(site: Site) -> None:
    deadline = time.monotonic() + 120
    ask = "carcloud query 'SELECT count(DISTINCT vehicle) AS cars FROM signals' --format csv"
    while (told := site.shell(ask))[0] or told[1].split()[1:] != [str(CARS)]:
        assert time.monotonic() < deadline, told
        time.sleep(0.2)


def _jobs(site: Site) -> dict[str, str]:
    made = {}
    for file in ("rows.parquet", "rows.csv", "answer.parquet"):
        name, kind = file.split(".")
        params = f"--param sql='SELECT 1 AS x' --param file={name} --param format={kind}"
        code, said = site.shell(f"carcloud jobs submit query-export {params} --wait")
        assert code == 0, said
        made[file] = re.findall(r"^job ([0-9a-f]+)$", said, re.MULTILINE)[0]
    return made


def told_id(site: Site, *commands: str) -> str:
    """The id in the JSON that the last of the commands prints."""
    said = [site.shell(command)[1] for command in commands]
    return str(re.findall(r'"id": *"([^"]+)"', said[-1])[-1])


def _job_of(said: str) -> str:
    found = re.findall(r"[0-9a-f]{24}", said)
    assert found, f"no job was told: {said}"
    return str(found[0])


def adapted(command: str, site: Site) -> str:
    """The command with the values of this installation, and a file where it would ask a person."""
    if re.search(ASKS, command) and "--password-file" not in command:
        command += " --password-file password.txt"
    if "keys revoke" in command:
        key = told_id(site, "carcloud keys create short --action vehicles:read --json")
        command = command.replace(ID, key)
    if "roles revoke" in command:
        made = "carcloud users add ann --role operator --password-file password.txt"
        command = command.replace(ID, told_id(site, made, "carcloud roles grants --json"))
    if "invitations revoke" in command:
        made = "carcloud invitations create short --role viewer"
        command = command.replace(ID, told_id(site, made, "carcloud invitations list --json"))
    if "remove-export" in command:
        asked = "carcloud tenants export north-fleet --to short.tar"
        listed = "carcloud tenants exports north-fleet --json"
        command = command.replace(ID, told_id(site, asked, listed))
    if "budget-remove" in command:
        made = "carcloud costs budget Fleet 5000"
        command = command.replace(ID, told_id(site, made, "carcloud costs budgets --json"))
    if "prices-end" in command:
        command = command.replace(ID, told_id(site, "carcloud costs prices --json"))
    if "commands cancel" in command:
        given = "carcloud commands give LTEST00000000A001 locate"
        command = re.sub(r"\b06512f0a\w+", told_id(site, given), command)
    if "jobs cancel" in command:
        sql = "SELECT max(range) FROM range(10000000000000)"
        long = f"carcloud jobs submit query-export --param sql='{sql}'"
        command = command.replace(JOB, _job_of(site.shell(long)[1]))
    if "simulate" in command:
        command += f" --host 127.0.0.1 --port {site.port} --for 1 --vehicles 3"
    job = next((job for file, job in site.jobs.items() if file in command), site.jobs["rows.csv"])
    for told, here in {
        "./dev run ": "",
        "https://cloud.example.com": site.url,
        "http://127.0.0.1:8460": site.url,
        "--token TOKEN": f"--token {site.token}",
        JOB: job,
        " JOB": f" {job}",
    }.items():
        command = command.replace(told, here)
    return command


def _note(command: str, ready: set[str]) -> None:
    """It is done now; or it may have undone any other."""
    if re.search(UNMAKES, command):
        ready.clear()
    else:
        ready.add(command)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_every_command_that_is_shown_works(site: Site) -> None:
    wrong = {}
    ready: set[str] = set()  # steps that nothing has undone
    for command in sorted(examples(), key=lambda one: not re.search(MAKES, one)):
        if any(re.match(pattern, command) for pattern in ELSEWHERE) or "--watch" in command:
            continue
        for pattern, steps in FIRST.items():
            if re.search(pattern, command):
                for step in steps:
                    if step not in ready:
                        site.shell(adapted(step, site))
                        _note(step, ready)
        code, said = site.shell(adapted(command, site))
        _note(command, ready)
        if code:
            wrong[command] = said
    assert not wrong, "\n".join(f"{command}: {said}" for command, said in wrong.items())


def test_the_first_questions_have_answers(site: Site) -> None:
    first, top, *_ = [line for line in examples() if line.startswith("./dev run carcloud query")]
    code, said = site.shell(adapted(f"{first} --format csv", site))
    reports, cars = map(int, said.split()[-1].split(","))
    assert code == 0
    assert reports >= cars >= CARS
    code, said = site.shell(adapted(f"{top} --format csv", site))
    assert code == 0
    assert len(re.findall(r'^"LTEST\w+",\d', said, re.MULTILINE)) >= CARS
    export = next(line for line in examples() if "--out sample.parquet" in line)
    assert site.shell(adapted(export, site))[0] == 0
    assert pq.read_table(site.folder / "sample.parquet").num_rows >= CARS


def test_what_watches_goes_on_until_it_is_stopped(site: Site) -> None:
    for command in examples():
        if "--watch" not in command:
            continue
        words = shlex.split(adapted(command, site))[1:]
        screen, terminal = os.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "carcloud", *words],
            stdin=terminal, stdout=terminal, stderr=terminal,
        )  # fmt: skip
        shown = ""
        while "ingest" not in shown:  # one of the processes that it lists
            ready, _, _ = select.select([screen], [], [], 100)
            assert ready, shown
            shown += os.read(screen, 65536).decode(errors="replace")
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + 100
        while process.poll() is None:  # what it still writes must find room in the terminal
            assert time.monotonic() < deadline
            if select.select([screen], [], [], 0.1)[0]:
                os.read(screen, 65536)
        assert process.returncode == 0
        os.close(screen)
        os.close(terminal)


def test_what_runs_elsewhere_is_still_shown() -> None:
    for pattern in ELSEWHERE:
        assert any(re.match(pattern, command) for command in examples()), pattern

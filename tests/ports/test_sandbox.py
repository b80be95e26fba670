"""The sandbox: scripts that mean harm are contained, and told which limit they ran into."""

import os
import socket
import subprocess
import sys
import textwrap
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from carcloud.engines.process_tree import Snapshot
from carcloud.engines.sandbox_bwrap import BwrapSandbox, Packages, outputs
from carcloud.ports.sandbox import Limits, NoPackages, NoSandbox, Script, ScriptEnd

LIMITS = {
    "seconds": 60.0, "memory_mb": 256, "cpu_seconds": 30.0, "disk_mb": 16, "processes": 12,
    "open_files": 32,
}  # fmt: skip
MODES = ("root", "user") if os.geteuid() == 0 else ("user",)


@dataclass
class Cell:
    """A sandbox made as root, or in a user namespace, and what a script in it said."""

    sandbox: BwrapSandbox
    as_root: bool
    folder: Path
    output: str = ""
    messages: list[Any] = field(default_factory=list)
    seconds: float = 0.0

    def run(self, source: str, **limits: float) -> ScriptEnd:
        made = Limits(**{**LIMITS, **limits})  # type: ignore[arg-type]
        inputs, self.out = self.folder / "in", self.folder / f"out{time.monotonic_ns()}"
        inputs.mkdir(exist_ok=True)
        (inputs / "given.txt").write_text("given")
        self.out.mkdir()
        arguments = {"name": "中文", "list": [1, 2]}
        script = Script(textwrap.dedent(source), arguments, inputs, self.out, made)
        self.output, self.messages = "", []
        began = time.monotonic()
        end = self.sandbox._run(self.as_root, script, self._print, self.messages.append)
        self.seconds = time.monotonic() - began
        return end

    def _print(self, text: str) -> None:
        self.output += text


@pytest.fixture(scope="module", params=MODES)
def mode(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bool:
    """Whether sandboxes are made as root; skips where they cannot be."""
    as_root = request.param == "root"
    said = BwrapSandbox(tmp_path_factory.mktemp("data"))._try(as_root)
    if said:
        pytest.skip(f"no sandbox of this kind here: {said}")
    return as_root


@pytest.fixture
def cell(mode: bool, tmp_path: Path) -> Cell:
    return Cell(BwrapSandbox(tmp_path / "data"), mode, tmp_path)


def test_a_good_script_reads_writes_tells_and_ends(cell: Cell) -> None:
    end = cell.run("""
        import carcloud_job as job
        print((job.IN / "given.txt").read_text(), job.arguments["name"])
        job.progress(0.5, "half")
        job.metric("loss", 0.25)
        (job.OUT / "sub").mkdir()
        (job.OUT / "sub" / "made.txt").write_text("made")
    """)
    assert (end.code, end.error, end.limit) == (0, None, None), cell.output
    assert cell.output == "given 中文\n"
    told = [{"progress": 0.5, "message": "half"}, {"metric": "loss", "value": 0.25}]
    assert cell.messages == told
    assert list(end.files) == ["sub/made.txt"]
    assert (cell.out / "sub" / "made.txt").read_text() == "made"
    assert end.cpu_seconds > 0


def test_the_packages_of_the_environment_are_there(cell: Cell) -> None:
    end = cell.run("import numpy, pyarrow; print(numpy.arange(3).sum(), pyarrow.array([1]).sum())")
    assert (end.error, cell.output) == (None, "3 1\n")


def test_errors_of_the_script_are_its_own(cell: Cell) -> None:
    end = cell.run("def half(x):\n    return x / 0\nhalf(1)\n")
    assert (end.code, end.limit) == (1, None)
    assert end.error == "ZeroDivisionError: division by zero"
    assert 'File "/sandbox/script.py", line 2, in half' in cell.output
    assert "inside.py" not in cell.output
    end = cell.run("raise SystemExit(3)")
    assert (end.code, end.limit) == (3, None)


ATTACKS = {
    "forks for ever": ("processes", {}, """
        import os
        while True:
            os.fork()
        """),
    "forks for ever, whatever it is told": ("processes", {}, """
        import os
        while True:
            try:
                os.fork()
            except OSError:
                pass
        """),
    "starts threads": ("processes", {}, """
        import threading, time
        for _ in range(100):
            threading.Thread(target=time.sleep, args=(60,)).start()
        """),
    "eats memory": ("memory_mb", {}, """
        eaten = []
        while True:
            eaten.append(b"x" * 10_000_000)
        """),
    "eats memory in many processes": ("memory_mb", {}, """
        import os, time
        for _ in range(5):
            if os.fork() == 0:
                eaten = bytearray(os.urandom(90_000_000))
                time.sleep(60)
        time.sleep(60)
        """),
    "fills the disk": ("disk_mb", {}, """
        for number in range(100):
            with open(f"/job/out/{number}", "wb") as out:
                out.write(bytes(1_000_000))
        """),
    "fills /tmp": ("disk_mb", {}, """
        import tempfile
        kept = []
        while True:
            kept.append(tempfile.TemporaryFile())
            kept[-1].write(bytes(3_000_000))
            kept[-1].flush()
        """),
    "writes one large file": ("disk_mb", {}, """
        with open("/job/large", "wb") as out:
            out.truncate(100_000_000)
            out.write(bytes(100_000_000))
        """),
    "makes files without content": ("disk_mb", {"cpu_seconds": 20}, """
        for number in range(10_000_000):
            open(f"/job/{number}", "w").close()
        """),
    "opens many files": ("open_files", {}, """
        kept = [open("/dev/null") for _ in range(100)]
        """),
    "takes the processor": ("cpu_seconds", {"cpu_seconds": 1}, """
        while True:
            pass
        """),
    "takes the processor in many processes": ("cpu_seconds", {"cpu_seconds": 2}, """
        import os
        for _ in range(4):
            if os.fork() == 0:
                break
        while True:
            pass
        """),
    "sleeps for ever": ("seconds", {"seconds": 2}, """
        import signal, time
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        time.sleep(600)
        """),
    "connects to the internet": ("network", {}, """
        import socket
        socket.create_connection(("192.0.2.1", 80), timeout=5)
        """),
    "asks for a name": ("network", {}, """
        import socket
        socket.getaddrinfo("example.com", 80)
        """),
    "reads the passwords of the machine": ("files", {}, "open('/etc/shadow').read()"),
    "writes to the system": ("files", {}, "open('/usr/lib/evil.so', 'w')"),
    "changes its environment": ("files", {}, """
        import json
        open(json.__file__, "a").write("evil")
        """),
    "changes its inputs": ("files", {}, "open('/job/in/given.txt', 'w')"),
}  # fmt: skip


BOTH_MODES = ("forks for ever", "eats memory in many processes", "changes its environment")


@pytest.mark.parametrize("attack", ATTACKS)
def test_harm_is_contained_and_its_limit_named(cell: Cell, attack: str) -> None:
    if cell.as_root != (MODES[0] == "root") and attack not in BOTH_MODES:
        pytest.skip("the limit is the same in both kinds of sandboxes")
    limit, limits, source = ATTACKS[attack]
    end = cell.run(source, **{"seconds": 100, **limits})
    assert end.limit == limit, (end, cell.output[-500:])
    assert end.error
    assert cell.seconds < 90
    assert _left_behind() == []


def _left_behind() -> list[int]:
    """Processes of sandboxes that still live."""
    return [
        pid
        for pid in Snapshot.take().taken
        if b"/sandbox/inside.py" in _command(pid) and _parent_is_us(pid)
    ]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _parent_is_us(pid: int) -> bool:
    return pid in Snapshot.take().below(os.getpid())


def test_a_server_of_this_machine_is_out_of_reach(cell: Cell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        end = cell.run(f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)")
    assert end.limit == "network"


def test_neither_data_nor_environment_nor_other_processes_are_seen(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARCLOUD_SECRET", "hush-hush")
    (cell.folder / "data").mkdir()
    secret = cell.folder / "data" / "records.sqlite"
    secret.write_text("hush-hush")
    end = cell.run(f"""
        import os, glob
        seen = [glob.glob("{cell.folder}*"), os.path.exists("{secret}"), dict(os.environ)]
        for path in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline"):
            try:
                seen.append(open(path).read())
            except OSError:
                pass
        print(seen, len(glob.glob("/proc/[0-9]*")), os.listdir("/"))
        open("{secret}").read()
    """)
    assert "No such file" in (end.error or "")
    assert "hush-hush" not in cell.output
    assert "CARCLOUD_SECRET" not in cell.output
    assert cell.output.startswith("[[], False, {")
    assert "'home'" not in cell.output


def test_rights_are_gone_for_good(cell: Cell) -> None:
    end = cell.run("""
        import ctypes, os
        status = open("/proc/self/status").read()
        print([line for line in status.splitlines() if line.startswith(("CapEff", "CapPrm"))])
        print("NoNewPrivs:\\t1" in status, os.getuid() != 0)
        for call in (lambda: os.setuid(0), lambda: os.chroot("/job"), lambda: os.nice(-5)):
            try:
                call()
                print("allowed")
            except OSError:
                print("refused")
        libc = ctypes.CDLL(None, use_errno=True)
        print(libc.mount(b"none", b"/job/out", b"tmpfs", 0, None))
        print(libc.unshare(0x10000000))  # CLONE_NEWUSER
        x86 = os.uname().machine == "x86_64"
        print(libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0) if x86 else -1)  # clone
    """)
    assert end.error is None, cell.output
    rights, flags, *calls = cell.output.splitlines()
    assert rights == "['CapPrm:\\t0000000000000000', 'CapEff:\\t0000000000000000']"
    assert flags == "True True"
    assert calls == [*["refused"] * 3, *["-1"] * 3]


def test_a_script_that_kills_its_keeper_gets_nothing(cell: Cell) -> None:
    end = cell.run("""
        import os, signal
        open("/job/out/made.txt", "w").write("made")
        os.kill(os.getppid(), signal.SIGKILL)
        import time; time.sleep(60)
    """)
    assert (end.error is not None, list(end.files)) == (True, [])
    assert cell.seconds < 30


def test_links_and_devices_do_not_come_out(cell: Cell) -> None:
    end = cell.run("""
        import os
        os.symlink("/etc/passwd", "/job/out/link")
        os.mkfifo("/job/out/pipe")
        open("/job/out/good.txt", "w").write("good")
        open("/job/out/bad name", "w").write("bad")
    """)
    assert (end.error, list(end.files)) == (None, ["good.txt"])
    assert sorted(path.name for path in cell.out.iterdir()) == ["good.txt"]


def test_messages_may_be_anything(cell: Cell) -> None:
    end = cell.run("""
        import os
        out = int(os.environ["CARCLOUD_JOB_MESSAGES"])
        for line in (b"no json\\n", b"[1]\\n", b"\\xff\\xfe\\n", b"{}\\n", b'{"failed": 7}\\n'):
            os.write(out, line)
        os.write(out, b"x" * 300_000)
    """)
    assert end.error is None
    assert cell.messages == [{}]


def test_neighbours_are_not_hurt(cell: Cell) -> None:
    """While one script does its worst another one on the same machine is done in time."""
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "from pathlib import Path\n"
        "from tests.ports.test_sandbox import *\n"
        f"sandbox = BwrapSandbox(Path({str(cell.folder)!r}) / 'data')\n"
        f"folder = Path({str(cell.folder)!r}) / 'bad'; folder.mkdir()\n"
        f"cell = Cell(sandbox, {cell.as_root}, folder)\n"
        "for name in ('forks for ever, whatever it is told', 'eats memory', 'fills the disk'):\n"
        "    print(cell.run(ATTACKS[name][2]).limit, flush=True)\n"
    )
    bad = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    ends = []
    while bad.poll() is None:
        ends.append(cell.run("print(sum(range(100_000)))"))
    assert bad.stdout is not None
    assert bad.stdout.read().split() == ["processes", "memory_mb", "disk_mb"]
    bad.stdout.close()
    assert ends
    assert all(end.error is None for end in ends)


def test_without_bubblewrap_scripts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NoSandbox, match="install the Debian package bubblewrap"):
        BwrapSandbox(tmp_path, bwrap="no-such-program").check()


def test_a_bubblewrap_that_may_not_work_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(NoSandbox, match="No permissions to create namespace"):
        BwrapSandbox(tmp_path / "data", bwrap=str(broken)).check()


def test_a_data_folder_that_scripts_could_read_is_refused() -> None:
    with pytest.raises(NoSandbox, match="the data folder lies in"):
        BwrapSandbox(Path("/usr/share/carcloud")).check()


# --- what comes out -----------------------------------------------------------------------------


def test_a_tar_that_lies_is_refused_or_stays_in_its_folder(tmp_path: Path) -> None:
    import io
    import tarfile

    def made(*names: str, size: int = 3, kind: bytes = tarfile.REGTYPE) -> io.BytesIO:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w|") as tar:
            for name in names:
                entry = tarfile.TarInfo(name)
                entry.type, entry.size = kind, size if kind == tarfile.REGTYPE else 0
                entry.linkname = "/etc/passwd"
                tar.addfile(entry, io.BytesIO(bytes(size)))
        stream.seek(0)
        return stream

    target = tmp_path / "target"
    target.mkdir()
    evil = ("../evil", "/etc/evil", "a/../../evil", "..", "a/b/c/d/e/f/g", "x" * 201)
    kept, left_out = outputs.unpack(made(*evil, "good"), target, 1)
    assert (kept, len(left_out)) == (["good"], len(evil))
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE):
        assert outputs.unpack(made("thing", kind=kind), target, 1)[0] == []
    with pytest.raises(outputs.BadOutput, match="more than 1 MB"):
        outputs.unpack(made("large", size=2_000_000), target, 1)
    with pytest.raises(outputs.BadOutput):
        outputs.unpack(io.BytesIO(b"no tar" * 1000), target, 1)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["good", "target"]


# --- packages -----------------------------------------------------------------------------------


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """A package index in a folder, with one small wheel."""
    name = "carcloud_example-1.0-py3-none-any.whl"
    project = tmp_path / "index" / "carcloud-example"
    project.mkdir(parents=True)
    with zipfile.ZipFile(project / name, "w") as wheel:
        wheel.writestr("carcloud_example.py", "ANSWER = 42\n")
        info = "carcloud_example-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: carcloud-example\n"
                       "Version: 1.0\n")  # fmt: skip
        tag = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr(f"{info}/WHEEL", tag)
        wheel.writestr(f"{info}/RECORD", "")
    (project / "index.html").write_text(f'<a href="{name}">{name}</a>')
    yield (tmp_path / "index").as_uri()


def test_wheels_are_installed_once_and_seen_by_the_script(cell: Cell, index: str) -> None:
    packages = Packages(cell.folder / "packages", index)
    said: list[str] = []
    where = packages.get(["carcloud-example==1.0"], said.append)
    assert packages.get(["carcloud-example==1.0"], said.append) == where
    assert said == ["installing carcloud-example==1.0"]
    inputs, out = cell.folder / "in", cell.folder / "out"
    inputs.mkdir()
    out.mkdir()
    source = "import carcloud_example; print(carcloud_example.ANSWER)"
    limits = Limits(**LIMITS)  # type: ignore[arg-type]
    script = Script(source, {}, inputs, out, limits, where)
    end = cell.sandbox._run(cell.as_root, script, cell._print, cell.messages.append)
    assert (end.error, cell.output) == (None, "42\n")


@pytest.mark.parametrize(
    "wanted",
    ["numpy", "numpy>=1", "-r/etc/passwd", "--target=x", "../evil", "a==1 --pre", "a@file:///x",
     "a==1;os_name=='x'", "git+https://x/y"],
)  # fmt: skip
def test_what_is_no_pinned_name_is_refused(tmp_path: Path, wanted: str) -> None:
    with pytest.raises(NoPackages, match="is not NAME==VERSION"):
        Packages(tmp_path).get([wanted], lambda _text: None)


def test_what_the_index_does_not_have_is_told(tmp_path: Path, index: str) -> None:
    with pytest.raises(NoPackages, match="carcloud-other"):
        Packages(tmp_path / "p", index).get(["carcloud-other==1.0"], lambda _text: None)
    assert [path for path in (tmp_path / "p").iterdir()] == []


def test_without_leave_there_are_no_packages(tmp_path: Path) -> None:
    with pytest.raises(NoPackages, match=r"compute\.requirements"):
        BwrapSandbox(tmp_path).packages(["a==1"], lambda _text: None)

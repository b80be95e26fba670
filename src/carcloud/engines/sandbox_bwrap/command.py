"""The command line of bubblewrap: what the script sees, and what it does not."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PYTHON = "/python"  # where the interpreter is inside, unless it is the system's
_HERE = Path(__file__).parent
_SYSTEM = ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin")
_MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Rooms:
    """What a sandbox is made of."""

    bwrap: str  # path of the program
    as_root: bool  # made by root, who then drops all rights, instead of in a user namespace
    script: Path
    arguments: Path
    inputs: Path
    packages: Path | None
    disk_mb: int


def command(rooms: Rooms, filters: Sequence[int] = ()) -> list[str]:
    """bubblewrap with its arguments; what runs inside is to be appended.

    `filters` are descriptors of files with seccomp programs.
    """
    return [
        rooms.bwrap,
        *_namespaces(rooms.as_root),
        *_system(),
        *_python(),
        *_job(rooms),
        *_environment(rooms),
        *(text for one in filters for text in ("--seccomp", str(one))),
        "--chdir",
        "/job",
    ]


def interpreter() -> str:
    """The Python interpreter as it is called inside."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return f"/usr/bin/{name}" if _is_system() else f"{PYTHON}/bin/{name}"


def shown() -> list[Path]:
    """Folders of this machine that scripts can read."""
    prefixes = [Path(path) for path in _SYSTEM]
    return [path.resolve() for path in [*prefixes, Path(sys.base_prefix), *packages()]]


def packages() -> list[Path]:
    """The folders of packages that the environment of this process has."""
    names = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    return [Path(path) for path in names if Path(path).is_dir()]


def _namespaces(as_root: bool) -> Iterator[str]:
    yield from ("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts")
    yield from ("--unshare-cgroup-try", "--die-with-parent", "--new-session")
    yield from ("--hostname", "sandbox")
    if as_root:
        yield from ("--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID")
    else:
        yield from ("--unshare-user", "--disable-userns", "--uid", "65534", "--gid", "65534")
        yield from ("--cap-drop", "ALL")


def _system() -> Iterator[str]:
    for name in ("/etc", "/environment", "/sandbox", "/sandbox/lib"):  # else for root alone
        yield from ("--perms", "0755", "--dir", name)
    yield from ("--ro-bind", "/usr", "/usr")
    for name in _SYSTEM[1:]:
        path = Path(name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), name)
        elif path.is_dir():
            yield from ("--ro-bind", name, name)
    yield from ("--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache")
    yield from ("--ro-bind-try", "/etc/alternatives", "/etc/alternatives")
    yield from ("--proc", "/proc", "--dev", "/dev")


def _python() -> Iterator[str]:
    if not _is_system():
        yield from ("--ro-bind", sys.base_prefix, PYTHON)
    for number, path in enumerate(packages()):
        yield from ("--ro-bind", str(path), f"/environment/{number}")


def _job(rooms: Rooms) -> Iterator[str]:
    # one file system for all that it writes, so that one size bounds it
    yield from ("--perms", "1777", "--size", str(rooms.disk_mb * _MB), "--tmpfs", "/job")
    yield from ("--perms", "1777", "--dir", "/job/.tmp", "--symlink", "/job/.tmp", "/tmp")  # noqa: S108
    yield from ("--ro-bind", str(rooms.inputs), "/job/in")
    for name in ("inside.py", "start.py"):
        yield from ("--ro-bind", str(_HERE / name), f"/sandbox/{name}")
    yield from ("--ro-bind", str(_HERE / "carcloud_job.py"), "/sandbox/lib/carcloud_job.py")
    yield from ("--ro-bind", str(rooms.script), "/sandbox/script.py")
    yield from ("--ro-bind", str(rooms.arguments), "/sandbox/arguments.json")
    if rooms.packages is not None:
        yield from ("--ro-bind", str(rooms.packages), "/packages")
    yield from ("--remount-ro", "/")


def _environment(rooms: Rooms) -> Iterator[str]:
    paths = ["/sandbox/lib", *(["/packages"] if rooms.packages else [])]
    paths += [f"/environment/{number}" for number in range(len(packages()))]
    values = {
        "PATH": f"{PYTHON}/bin:/usr/bin:/bin",
        "HOME": "/tmp",  # noqa: S108
        "LANG": "C.UTF-8",
        "PYTHONPATH": ":".join(paths),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    if not _is_system():
        values["LD_LIBRARY_PATH"] = f"{PYTHON}/lib"
    yield "--clearenv"
    for name, value in values.items():
        yield from ("--setenv", name, value)


def _is_system() -> bool:
    return Path(sys.base_prefix).resolve() == Path("/usr")

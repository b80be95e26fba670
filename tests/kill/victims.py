"""SIGKILL for a process of a cloud."""

from carcloud.supervisor import Supervisor


def kill(supervisor: Supervisor, name: str) -> bool:
    """Kill it; False where it has ended and waits to be started again: there is nothing to kill,
    and its process id may be another's by now."""
    if name == "stream":
        assert supervisor.server is not None
        victim = supervisor.server.process
    else:
        victim = supervisor.children[name].process
    runs = victim.poll() is None
    if runs:
        victim.kill()
    return runs

"""A cluster on this machine: three NATS servers, PostgreSQL, S3, and two hosts of processes."""

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.kill.victims import kill
from tests.ports.engines_sql import postgresql_server
from tests.ports.free import free_port, free_ports
from tests.ports.s3_server import ACCESS, BUCKET, SECRET, seaweed

from carcloud.app.first_start import prepare
from carcloud.config import Settings, load
from carcloud.engines.stream_nats import Member, NatsServer
from carcloud.supervisor import Supervisor

USER = "carcloud"

CONFIG = """\
data = "{data}"
roles = "{roles}"
secret_file = "{keys}/secret"

[records]
url = "{records}"

[stream]
url = "{stream}"
replicas = 3
user = "{user}"
password_file = "{keys}/stream-password"

[lake]
url = "s3://{bucket}/lake"

[blobs]
url = "s3://{bucket}/blobs"

[s3]
endpoint = "{s3}"
access_key = "{access}"
secret_key_file = "{keys}/s3-secret"

[web]
port = 0

[storage]
port = 0

[gateway]
auto_register = true

[gateway.jt808]
port = -1

[gateway.mqtt]
port = -1

[gateway.gbt32960]
port = 0
reply_reports = true
"""


@dataclass(slots=True)
class Cluster:
    """What runs. Nodes and hosts are tended by `tend`, as their own supervisors would."""

    nodes: list[NatsServer]
    hosts: list[Supervisor]
    configs: list[Path]

    def tend(self) -> None:
        """Start again whatever has ended."""
        for number, node in enumerate(self.nodes):
            if not node.alive():
                self.nodes[number] = node.restart()
        for host in self.hosts:
            host.tend()

    def pids(self) -> dict[str, int]:
        """Process ids, `node-1`, `host-1 gateway` …"""
        found = {f"node-{n}": node.process.pid for n, node in enumerate(self.nodes, 1)}
        for number, host in enumerate(self.hosts, 1):
            found |= {f"host-{number} {name}": pid for name, pid in host.pids().items()}
        return found

    def kill(self, name: str) -> bool:
        """SIGKILL for one of `pids`; False where it waits to be started again."""
        if name.startswith("node-"):
            node = self.nodes[int(name.removeprefix("node-")) - 1]
            runs = node.alive()
            node.kill()
            return runs
        host, _, role = name.removeprefix("host-").partition(" ")
        return kill(self.hosts[int(host) - 1], role)

    def port(self, host: int) -> int:
        """The port of a host's gateway."""
        return self.hosts[host].settings.whole("gateway.gbt32960.port")


@contextmanager
def cluster(roles: tuple[str, str] = ("gateway,ingest", "gateway,ingest")) -> Iterator[Cluster]:
    """Everything started and ready; call from the main thread."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="carcloud-cluster-")))
        keys = folder / "keys"
        keys.mkdir(mode=0o700)
        password = secrets.token_urlsafe(24)
        (keys / "secret").write_bytes(secrets.token_bytes(32))
        (keys / "stream-password").write_text(password)
        (keys / "s3-secret").write_text(SECRET)
        nodes = _nodes(folder, password)
        stack.callback(lambda: [node.kill() for node in made.nodes])
        made = Cluster(nodes, [], [])
        for node in nodes:
            node.ready()
        (folder / "s3").mkdir()
        given = {
            "keys": keys,
            "user": USER,
            "stream": ",".join(f"nats://127.0.0.1:{node.port}" for node in nodes),
            "records": stack.enter_context(postgresql_server()).get_uri(),
            "s3": stack.enter_context(seaweed(folder / "s3")),
            "access": ACCESS,
            "bucket": BUCKET,
        }
        for number, each in enumerate(roles, 1):
            file = folder / f"cluster-{number}.toml"
            file.write_text(CONFIG.format(data=folder / f"host-{number}", roles=each, **given))
            made.configs.append(file)
            made.hosts.append(_host(load(file)))
            stack.callback(made.hosts[-1].stop)
        yield made


def _host(settings: Settings) -> Supervisor:
    host = Supervisor(settings, settings.text("roles").split(","))
    host.run.claim()
    prepare(settings)
    host.start()
    return host


def _nodes(folder: Path, password: str) -> list[NatsServer]:
    ports = free_ports(3)
    return [
        NatsServer.start(
            folder / f"node-{number}",
            port=free_port(),
            user=USER,
            password=password,
            max_bytes=20_000_000_000,
            member=Member(f"node-{number}", port, tuple(p for p in ports if p != port)),
        )
        for number, port in enumerate(ports, 1)
    ]

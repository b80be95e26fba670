"""A fleet against a server, over sockets: whatever the server and the line do, what counts as
acknowledged has arrived, and everything arrives."""

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from bench.load import LoadOptions, load
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from carcloud.cli import main
from carcloud.simulator.messages import time6
from carcloud.simulator.run import Progress, SimulateOptions, SimulateResult, simulate
from tests.gateway.mqtt_client import until
from tests.simulator.server import Server


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


def options(server: Server, **more) -> SimulateOptions:
    given = {
        "port": server.port,
        "vehicles": 40,
        "seconds": 3.0,
        "heartbeat_s": 1.0,
        "backoff_s": (0.05, 0.5),
        "drain_s": 25.0,
    }
    return SimulateOptions(**{**given, **more})


def assert_all_arrived(result: SimulateResult, server: Server) -> None:
    acknowledged = {(vin, time6(seconds)) for vin, seconds in result.acknowledged_reports()}
    assert len(acknowledged) == result.acknowledged, "one report acknowledged twice"
    assert acknowledged <= set(server.taken), "acknowledged, but the server never had it"
    assert result.unconfirmed == 0
    assert result.acknowledged == result.sent
    assert sum(result.acknowledged_counts().values()) == result.acknowledged


async def driven(given: SimulateOptions, enough: Callable[[Progress], bool]) -> SimulateResult:
    """Drive until there is enough to look at, however slow the machine is."""
    stop = asyncio.Event()

    def look(progress: Progress) -> None:
        if enough(progress):
            stop.set()

    return await simulate(replace(given, seconds=None), look, stop=stop)


@pytest.mark.parametrize("behaviour", ["reply", "echo", "heartbeat"])
@pytest.mark.anyio
async def test_everything_is_confirmed_though_connections_break(behaviour):
    def enough(now: Progress) -> bool:
        return now.sent > 100 and now.lost_connections > 2 and now.reissued > 0

    async with Server(behaviour, drop_every=23) as server:
        result = await driven(options(server, losses_per_hour=300.0), enough)
    assert_all_arrived(result, server)
    assert result.lost_connections > 2
    assert result.reissued > 0


@pytest.mark.anyio
async def test_a_quiet_line_needs_no_reissue():
    async with Server("reply") as server:
        result = await driven(options(server), lambda now: now.connected == 40 and now.sent > 80)
        await until(lambda: server.logouts == 40)
    assert_all_arrived(result, server)
    assert (result.reissued, result.lost_connections, result.stray_replies) == (0, 0, 0)
    assert set(server.taken.values()) == {1}
    assert 0 < result.ack_p50_ms <= result.ack_p99_ms
    starts = Counter(frame[:2] for frame in server.logins)
    assert starts == {b"##": 20, b"$$": 20}


@pytest.mark.anyio
async def test_an_outage_is_made_up_for():
    async with Server("reply") as server:

        async def outage() -> None:
            while True:
                await asyncio.sleep(0.6)
                server.break_all()

        def enough(now: Progress) -> bool:
            if now.lost_connections >= 40 and now.reissued > 0:
                breaker.cancel()
            return breaker.cancelled()

        breaker = asyncio.create_task(outage())
        result = await driven(options(server), enough)
    assert_all_arrived(result, server)
    assert result.lost_connections >= 40
    late = [frame for frame in server.frames if frame[2] == 0x03]
    assert 0 < len(late) <= result.reissued  # the others were on their way when the line broke


@pytest.mark.anyio
async def test_refused_logins_are_tried_again():
    async with Server("reply", refuse_logins=30) as server:
        result = await driven(options(server), lambda now: now.connected == 40)
    assert_all_arrived(result, server)
    assert len(server.logins) == 70


@pytest.mark.anyio
async def test_error_replies_leave_reports_unconfirmed():
    async with Server("error") as server:
        result = await driven(options(server, drain_s=0.5), lambda now: now.sent > 0)
    assert result.acknowledged == 0
    assert result.unconfirmed == result.sent > 0


@pytest.mark.anyio
async def test_a_silent_server_confirms_nothing():
    async with Server("heartbeat") as server:
        given = options(server, confirmation="reply", drain_s=0.5)
        result = await driven(given, lambda now: now.sent > 0)
    assert result.acknowledged == 0
    assert result.unconfirmed == result.sent > 0


@pytest.mark.anyio
async def test_without_a_server_it_ends_in_time():
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # nobody else gets the port, and nobody listens there
        port = deaf.getsockname()[1]
        gone = options(Server(port=port), vehicles=3, seconds=0.5, drain_s=0.5)
        result = await simulate(gone)
    assert (result.sent, result.acknowledged, result.unconfirmed) == (0, 0, 0)


@pytest.mark.anyio
async def test_memory_for_unconfirmed_reports_is_bounded():
    looks = []

    def enough(now: Progress) -> bool:
        looks.extend([now] if now.connected == 40 else [])
        return len(looks) > 3  # seconds of a report each

    async with Server("heartbeat") as server:
        small = options(server, confirmation="reply", keep_mb=0.01, drain_s=0.0)
        result = await driven(small, enough)
    assert result.held_back > 0
    assert result.unconfirmed < 100


@pytest.mark.anyio
async def test_stop_and_progress():
    seen: list[Progress] = []
    stop = asyncio.Event()

    def look(progress: Progress) -> None:
        seen.append(progress)
        if progress.connected == 40 and progress.sent:
            stop.set()

    async with Server() as server:
        result = await simulate(options(server, seconds=None), look, stop=stop)
    assert_all_arrived(result, server)
    assert max(progress.connected for progress in seen) == 40
    assert [one.sent for one in seen] == sorted(one.sent for one in seen)


@pytest.mark.anyio
async def test_truth_is_told_at_the_start():
    told = []
    async with Server() as server:
        faulty = options(server, seconds=0.5, faults={"weak_cell": 2})
        result = await simulate(faulty, on_truth=told.extend)
    assert tuple(told) == result.truths
    assert {truth.vehicle for truth in told} <= set(result.vehicles)


@pytest.mark.parametrize("wrong", [{"vehicles": 0}, {"period_s": 0.5}, {"share_2025": 1.5}])
def test_impossible_options_are_refused(wrong):
    with pytest.raises(ValueError, match=r"vehicle|period|share"):
        SimulateOptions(**wrong)


def test_share_of_editions():
    editions = SimulateOptions(vehicles=300, share_2025=0.3).editions()
    assert (editions == 2025).sum() == 90


@pytest.mark.anyio
async def test_mutual_tls(tmp_path):
    cert, key = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.load_verify_locations(cert)
    context.verify_mode = ssl.CERT_REQUIRED
    async with Server(ssl=context) as server:
        secure = options(server, vehicles=5, ca=cert, cert=cert, key=key)
        result = await driven(secure, lambda now: now.sent > 0)
    assert_all_arrived(result, server)
    assert result.sent > 0


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate that signs itself, for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "carcloud test")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_file, key_file


def test_the_command_refuses_unknown_faults():
    answer = CliRunner().invoke(main, ["simulate", "--faults", "flat_tyre"])
    assert answer.exit_code == 2
    assert "weak_cell" in answer.output


@pytest.mark.parametrize("drop_every", [0, 200])
@pytest.mark.anyio
async def test_load_generator_counts_what_arrived(drop_every):
    async with Server("reply", drop_every=drop_every) as server:
        result = await load(
            LoadOptions(server.port, vehicles=20, rate=1_000.0, seconds=2.0, warm_s=0.2)
        )
    assert result.acknowledged == result.sent > 200
    assert {(vin, time6(seconds)) for vin, seconds in result.reports()} == set(server.taken)
    assert (result.lost_connections > 0) == (drop_every > 0)
    assert result.refused == 0

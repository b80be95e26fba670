"""2025 security at the gateway: activation, key exchange, signatures, decryption, TLS."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from carcloud.app.engines import Engines
from carcloud.app.gateway import GatewayRole
from carcloud.app.records import prepare_records
from carcloud.codecs.gbt32960.constants import Command, Encryption, Flag
from carcloud.codecs.gbt32960.decode import decode
from carcloud.codecs.gbt32960.encode import encode_key_exchange, sign_report
from carcloud.codecs.gbt32960.frame import Frame, bcc, build, parse
from carcloud.codecs.gbt32960.report_security import locate
from carcloud.codecs.gbt32960.security import BlockCipher, RsaCipher
from carcloud.config import Settings
from carcloud.engines.stream_nats import NatsStream
from carcloud.model import blocks
from carcloud.model.ids import Tenant
from carcloud.services.tenancy.api import AuditFilter, Tenancy
from carcloud.services.vehicles.api import CredentialsChange, NewVehicle, Vehicles
from carcloud.simulator import keys
from carcloud.simulator.messages import login
from carcloud.simulator.protection import Protection, protection
from tests.codecs.gbt32960.strategies import reports
from tests.gateway.conftest import MAX_BYTES
from tests.gateway.test_gbt32960 import Car, now6, run
from tests.gateway.test_gbt32960 import report as report_2016

VIN, OTHER = "LTESTVNA4A0000101", "LTESTVNA6A0000102"
T = Tenant("default")
VEHICLE = bytes.fromhex("01010302027b0012d687177c75ad4c012e1388")


def report(shift_s: float = 0, vin: str = VIN, command: int = Command.REALTIME) -> bytes:
    return build(2025, command, Flag.COMMAND, vin, now6(shift_s) + VEHICLE)


def logging_in(vin: str = VIN) -> bytes:
    return login(2025, vin, int(time.time()), 1, "89860000000000000001")


def tampered(frame: bytes, at: int = 35) -> bytes:
    body = bytearray(frame)
    body[at] ^= 0x01
    body[-1] = bcc(bytes(body[2:-1]))
    return bytes(body)


@dataclass
class Site:
    """A whole gateway role on real engines."""

    role: GatewayRole
    vehicles: Vehicles
    tenancy: Tenancy
    stream: NatsStream
    port: int

    async def stored(self, count: int) -> list[dict]:
        rows: list[dict] = []
        async with asyncio.timeout(60):
            async for messages in self.stream.read("FRAMES", "test", batch=16, wait_s=0.1):
                for message in messages:
                    _, tenant, protocol = message.subject.split(".", 2)
                    rows += blocks.unpack(Tenant(tenant), protocol, message.data).frames.to_pylist()
                    await self.stream.confirm("FRAMES", "test", message.seq)
                if len(rows) >= count:
                    break
        return rows

    async def car(self, *frames: bytes, answers: int) -> tuple[Car, list[Frame]]:
        car = await Car.connect(self.port)
        car.send(*frames)
        return car, [await car.reply() for _ in range(answers)]


@asynccontextmanager
async def whole(server, data: Path, **given: object) -> AsyncIterator[Site]:
    tls = given.pop("tls", None)
    settings = Settings(
        {
            "data": str(data),
            "gateway.gbt32960.port": 0,
            "gateway.jt808.port": 0,
            "gateway.mqtt.port": 0,
            "gateway.auto_register": True,
            "gateway.gbt32960.reply_reports": True,
            **{name.replace("__", "."): value for name, value in given.items()},
        }
    )
    stream = await NatsStream.connect(
        f"nats://127.0.0.1:{server.port}", user="u", password="p", max_bytes=MAX_BYTES
    )
    prepare_records(settings)
    engines = Engines(settings, stream)
    tenancy = Tenancy(engines.records)
    role = GatewayRole(settings, engines, f"test-{time.time_ns()}")
    address = await role.start(tls)
    try:
        yield Site(role, role._vehicles, tenancy, stream, int(str(address["gbt32960"]["port"])))
    finally:
        await role.stop()
        await engines.close()


def chip(
    vin: str = VIN, signing: keys.Signing | None = "ecc", encrypting=None, seed=1
) -> Protection:
    found = protection(vin, seed, signing, encrypting)
    assert found is not None
    return found


def now_s() -> int:
    return int(time.time())


@pytest.mark.parametrize("signing", ["sm2", "rsa", "ecc"])
def test_activation_before_login_puts_the_key_on_record(server, tmp_path, signing):
    own = chip(signing=signing)

    async def scene() -> None:
        async with whole(server, tmp_path) as site:
            sent = own.activation(now_s())
            good = own.protected(report())
            # In one packet: the next frame is taken when the keys are on record.
            bad = tampered(own.protected(report(-1)))
            frames = (sent, logging_in(), good, bad, report(-2))
            _, (result, entered, first, second, third) = await site.car(*frames, answers=5)
            assert (result.command, result.flag, result.data) == (0x0A, 0xFE, b"\x01\x00")
            assert entered.flag == first.flag == Flag.SUCCESS
            assert (second.flag, second.data) == (Flag.BAD_SIGNATURE, bad[24:30])
            assert third.flag == Flag.SUCCESS  # without a signature: if-present lets it pass
            found = site.vehicles.credentials(T, VIN)
            assert found.public_key == own.public_key
            assert (found.algorithm, found.chip_id) == (signing.upper(), f"CHIP{VIN[-12:]}")
            rows = await site.stored(5)
            assert rows[0]["frame"] == sent
            assert [row["fault"] is None for row in rows] == [True, True, True, False, True]
            assert json.loads(rows[3]["fault"])["clause"] == "S25 table 8"

    run(scene())


def test_the_same_activation_again_is_good_and_another_is_not(server, tmp_path):
    async def scene() -> None:
        async with whole(server, tmp_path) as site:

            async def answer(own: Protection) -> Frame:
                return (await site.car(own.activation(now_s()), answers=1))[1][0]

            assert [(await answer(chip())).data for _ in range(2)] == [b"\x01\x00"] * 2
            assert (await answer(chip(signing="sm2"))).data == b"\x02\x01"  # same chip, other key
            public, sign = keys.signer("ecc", 9, VIN)
            other = Protection(VIN, public, sign, None)
            forged = build(
                2025, 9, 0xFE, VIN, tampered(other.activation(now_s()), 30)[24:-1]
            )  # another chip id, so the signature is wrong
            assert (await site.car(forged, answers=1))[1][0].flag == Flag.BAD_SIGNATURE
            site.vehicles.set_credentials(
                T, VIN, CredentialsChange(chip_id="CHIPELSE"), actor="test"
            )
            assert (await answer(chip())).data == b"\x02\x02"
            assert audited(site).count("vehicle.chip") == 1
            removed = CredentialsChange(public_key=None)
            site.vehicles.set_credentials(T, VIN, removed, actor="test")
            assert site.vehicles.credentials(T, VIN).chip_id is None
            assert (await answer(chip(signing="sm2"))).data == b"\x01\x00"

    run(scene())


def audited(site: Site) -> list[str]:
    return [entry.action for entry in site.tenancy.trail.page(T, AuditFilter(subject=VIN)).items]


def test_a_chip_belongs_to_one_vehicle(server, tmp_path):
    async def scene() -> None:
        async with whole(server, tmp_path) as site:
            public, sign = keys.signer("ecc", 1, VIN)
            first = chip().activation(now_s())
            second = Protection(OTHER[:5] + VIN[5:], public, sign, None)
            assert (await site.car(first, answers=1))[1][0].data[0] == 1
            # The chip id follows the last 12 characters of the VIN: the same here.
            vin = "LTESU" + VIN[5:]
            second = Protection(vin, public, sign, None).activation(now_s())
            assert (await site.car(second, answers=1))[1][0].data == b"\x02\x01"

    run(scene())


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        ({"gateway__auto_register": False}, Flag.VIN_UNKNOWN),
        ({}, Flag.BAD_STRUCTURE),
    ],
)
def test_activations_that_are_refused_by_flag(server, tmp_path, settings, flag):
    async def scene() -> None:
        async with whole(server, tmp_path, **settings) as site:
            sent = chip().activation(now_s())
            if flag == Flag.BAD_STRUCTURE:
                sent = build(2025, 9, 0xFE, VIN, sent[24:60])
            car, (reply,) = await site.car(sent, answers=1)
            assert (reply.command, reply.flag) == (Command.ACTIVATION, flag)
            rows = await site.stored(1)
            assert rows[0]["fault"] is not None
            car.send(logging_in())
            await car.reply()  # the session lives

    run(scene())


@hypothesis_settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_no_activation_breaks_the_clerk(body):
    from carcloud.gateway.gbt32960.keys import _Refused, kept_form, read_activation, read_key

    activation = chip().activation(1_800_000_000)[24:-1]
    for unit in (body, activation[: len(body)] + body, activation[:24] + body):
        for command, read in ((9, lambda f: read_activation(f, "x", None)), (11, read_key)):
            frame = parse(build(2025, command, 0xFE, VIN, unit))
            try:
                read(frame)
            except _Refused as refused:
                assert refused.error.detail
            kept = kept_form(frame)
            assert len(kept) == len(frame.raw)
            parse(kept)


@hypothesis_settings(max_examples=100, deadline=None)
@given(reports(2025), st.binary(max_size=6), st.booleans())
def test_the_signature_is_found_where_the_reference_finds_it(unit, rest, signed):
    if signed:
        unit = sign_report(unit, lambda _: (1, bytes(32), bytes(32)))
    message = decode(parse(build(2025, 2, 0xFE, VIN, unit)))
    found = locate(unit)
    if not message.partial:
        assert (None if found is None else found.mark) == message.mark
    locate(unit + rest)
    for cut in range(0, len(unit), 7):
        locate(unit[:cut])


def test_a_signature_after_an_unknown_item_is_found_at_the_end():
    unit = sign_report(now6() + VEHICLE + b"\x79abc", lambda _: (3, bytes(32), bytes(32)))
    found = locate(unit)
    assert found is not None
    assert found.mark == len(unit) - 70


@pytest.mark.parametrize(("covers", "good"), [(False, True), (True, False)])
def test_what_the_signature_covers_is_a_setting(server, tmp_path, covers, good):
    async def scene() -> None:
        given = {"gateway__gbt32960__signature_covers_mark": covers}
        async with whole(server, tmp_path, **given) as site:
            own = chip()
            frames = (own.activation(now_s()), logging_in(), own.protected(report()))
            _, replies = await site.car(*frames, answers=3)
            assert (replies[-1].flag == Flag.SUCCESS) is good

    run(scene())


def test_required_signatures(server, tmp_path):
    async def scene() -> None:
        given = {"gateway__gbt32960__verify_signatures": "required"}
        async with whole(server, tmp_path, **given) as site:
            own = chip()
            frames = (
                logging_in(), report(), own.activation(now_s()),
                own.protected(report()), report(-1), report_2016(shift_s=-2),
            )  # fmt: skip
            _, replies = await site.car(*frames, answers=6)
            wrong = Flag.BAD_SIGNATURE
            assert [r.flag for r in replies if r.command != 0x0A] == [1, wrong, 1, wrong, 2]
            _, (_, old) = await site.car(
                login(2016, OTHER, now_s(), 1, "8986"), report_2016(OTHER), answers=2
            )
            assert old.flag == Flag.SUCCESS  # a 2016 vehicle cannot sign

    run(scene())


def test_signatures_are_not_looked_at_when_off(server, tmp_path):
    async def scene() -> None:
        given = {"gateway__gbt32960__verify_signatures": "off"}
        async with whole(server, tmp_path, **given) as site:
            own = chip()
            frames = (own.activation(now_s()), logging_in(), tampered(own.protected(report())))
            _, replies = await site.car(*frames, answers=3)
            assert replies[-1].flag == Flag.SUCCESS

    run(scene())


@pytest.mark.parametrize("encrypting", ["aes", "sm4"])
def test_encrypted_reports_are_opened_with_the_key_that_was_sent(server, tmp_path, encrypting):
    own = chip(signing="ecc", encrypting=encrypting)

    async def scene() -> None:
        async with whole(server, tmp_path) as site:
            exchange = own.key_exchange(now_s())
            good, bad = own.protected(report(-3)), own.protected(report(3600))
            stranger = chip(encrypting=encrypting, seed=5).protected(report(-4))
            forged = Protection(VIN, None, keys.signer("ecc", 5, VIN)[1], own.cipher)
            frames = (
                own.activation(now_s()), logging_in(), exchange,
                good, bad, stranger, forged.protected(report(-5)),
            )  # fmt: skip
            _, replies = await site.car(*frames, answers=7)
            assert (replies[2].command, replies[2].flag, replies[2].data) == (0x0B, 1, b"")
            opened = own.cipher.decrypt(good[24:-1])
            assert (replies[3].flag, replies[3].data) == (Flag.SUCCESS, opened[:6])
            assert [reply.flag for reply in replies[4:]] == [
                Flag.BAD_STRUCTURE, Flag.BAD_DECRYPTION, Flag.BAD_SIGNATURE,
            ]  # fmt: skip
            rows = await site.stored(7)
            assert rows[3]["frame"] == good  # as on the wire
            kept = rows[2]["frame"]
            assert own.cipher.key not in kept
            assert len(kept) == len(exchange)
            parse(kept)  # blanked, and still a frame
            assert "vehicle.data-key" in audited(site)
            site.vehicles.keep_data_key(T, VIN, site.vehicles.keys([VIN])[VIN].data_keys[0])
            assert len(site.vehicles.keys([VIN])[VIN].data_keys) == 1

    run(scene())


def test_an_expired_key_does_not_open_reports_and_the_next_one_does(server, tmp_path):
    old, new = BlockCipher("SM4", b"o" * 16), BlockCipher("SM4", b"n" * 16)

    def exchange(cipher: BlockCipher, days: int) -> bytes:
        start = datetime.now(UTC) + timedelta(days=days)
        unit = encode_key_exchange(cipher.code, cipher.key, start, start + timedelta(days=2))
        return build(2025, Command.KEY_EXCHANGE, Flag.COMMAND, VIN, unit)

    def encrypted(cipher: BlockCipher, shift_s: int) -> bytes:
        unit = cipher.encrypt(now6(shift_s) + VEHICLE)
        return build(2025, 2, 0xFE, VIN, unit, encryption=cipher.code)

    async def scene() -> None:
        async with whole(server, tmp_path) as site:
            frames = (
                logging_in(), exchange(old, -3), encrypted(old, -1),
                exchange(new, -1), encrypted(new, -2), encrypted(old, -3),
            )  # fmt: skip
            car, replies = await site.car(*frames, answers=6)
            assert [r.flag for r in replies] == [1, 1, 7, 1, 1, 7]
            for number in range(6):
                car.send(exchange(BlockCipher("SM4", bytes((number,)) * 16), -1))
                await car.reply()
            assert len(site.vehicles.keys([VIN])[VIN].data_keys) == 4
            car.send(encrypted(BlockCipher("SM4", b"\x02" * 16), -4))
            assert (await car.reply()).flag == Flag.SUCCESS

    run(scene())


def test_a_key_may_come_encrypted_to_the_platform(server, tmp_path):
    private = rsa.generate_private_key(65537, 2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (tmp_path / "rsa.pem").write_bytes(pem)
    own = chip(signing=None, encrypting="aes")

    async def scene() -> None:
        given = {"gateway__gbt32960__private_key_rsa": str(tmp_path / "rsa.pem")}
        async with whole(server, tmp_path, **given) as site:
            unit = RsaCipher(private.public_key()).encrypt(own.key_exchange(now_s())[24:-1])
            exchange = build(2025, 0x0B, 0xFE, VIN, unit, encryption=Encryption.RSA)
            by_sm2 = build(2025, 0x0B, 0xFE, VIN, unit, encryption=Encryption.SM2)
            frames = (logging_in(), by_sm2, exchange, own.protected(report()))
            _, replies = await site.car(*frames, answers=4)
            assert [r.flag for r in replies] == [1, Flag.BAD_DECRYPTION, 1, 1]

    run(scene())


def test_one_vehicle_that_sends_much_does_not_hold_up_another(server, tmp_path):
    """SM2 signatures take half a millisecond each; a packet of them is worked off in turns."""
    own = chip(signing="sm2")

    async def scene() -> None:
        async with whole(server, tmp_path) as site:
            burst = [own.protected(report(-200 + n)) for n in range(120)]
            busy, _ = await site.car(own.activation(now_s()), logging_in(), answers=2)
            quiet, _ = await site.car(logging_in(OTHER), answers=1)
            turns = []
            gateway = site.role.listeners["gbt32960"].gateway
            session = gateway.roster.vehicles[VIN].session
            rest = type(session)._rest

            def counted(self, pieces):
                turns.append(len(pieces))
                rest(self, pieces)

            type(session)._rest = counted
            try:
                busy.send(*burst)
                quiet.send(build(2025, 7, 0xFE, OTHER))
                assert (await quiet.reply()).flag == Flag.SUCCESS
                assert [(await busy.reply()).flag for _ in burst] == [Flag.SUCCESS] * 120
            finally:
                type(session)._rest = rest
            assert turns
            assert turns == sorted(turns, reverse=True)

    run(scene())


def test_what_a_vehicle_sent_before_it_hung_up_is_kept(server, tmp_path):
    own = chip(signing="sm2")

    async def scene() -> None:
        async with whole(server, tmp_path) as site:
            burst = [own.protected(report(-200 + n)) for n in range(60)]
            car, _ = await site.car(own.activation(now_s()), logging_in(), answers=2)
            car.send(*burst)
            await car.writer.drain()
            car.writer.close()
            rows = await site.stored(62)
            assert [row["frame"] for row in rows[2:]] == burst

    run(scene())


# TLS


@dataclass
class Papers:
    """A certificate authority and what it has signed, as files."""

    folder: Path
    name: str

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.ca = self.folder / f"{self.name}-ca.pem"
        self.ca.write_bytes(self._certificate(None, self._key, self._key).public_bytes(_PEM))

    def issue(self, who: str) -> tuple[Path, Path, str]:
        """Certificate, key, fingerprint."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._certificate(who, key, self._key)
        files = (self.folder / f"{self.name}-{who}.pem", self.folder / f"{self.name}-{who}.key")
        files[0].write_bytes(certificate.public_bytes(_PEM))
        files[1].write_bytes(
            key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        der = certificate.public_bytes(serialization.Encoding.DER)
        return *files, sha256(der).hexdigest()

    def _certificate(self, who, key, signer) -> x509.Certificate:
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{self.name} test CA")])
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, who)]) if who else issuer
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=who is None, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False
            )
        )
        return builder.sign(signer, hashes.SHA256())


_PEM = serialization.Encoding.PEM


@pytest.fixture(scope="module")
def papers(tmp_path_factory) -> Iterator[tuple[Papers, Papers]]:
    folder = tmp_path_factory.mktemp("papers")
    yield Papers(folder, "right"), Papers(folder, "wrong")


def tls_settings(papers: Papers, *, mutual: bool = True) -> dict[str, object]:
    certificate, key, _ = papers.issue("server")
    prefix = "gateway__gbt32960__tls_"
    found: dict[str, object] = {prefix + "cert": str(certificate), prefix + "key": str(key)}
    return {**found, prefix + "client_ca": str(papers.ca)} if mutual else found


async def tls_car(port: int, trusts: Papers, proof: tuple[Path, Path, str] | None) -> Car:
    context = ssl.create_default_context(cafile=trusts.ca)
    if proof is not None:
        context.load_cert_chain(*proof[:2])
    return Car(*await asyncio.open_connection("127.0.0.1", port, ssl=context))


def test_tls_without_client_certificates(server, tmp_path, papers):
    right, wrong = papers

    async def scene() -> None:
        async with whole(server, tmp_path, **tls_settings(right, mutual=False)) as site:
            car = await tls_car(site.port, right, None)
            car.send(logging_in())
            assert (await car.reply()).flag == Flag.SUCCESS
            with pytest.raises(ssl.SSLCertVerificationError):
                await tls_car(site.port, wrong, None)

    run(scene())


def test_mutual_tls_binds_a_vehicle_to_its_certificate(server, tmp_path, papers):
    right, _ = papers
    mine, others = right.issue("mine"), right.issue("others")

    async def scene() -> None:
        async with whole(server, tmp_path, **tls_settings(right)) as site:
            site.vehicles.create(T, NewVehicle(VIN), actor="test")
            pinned = CredentialsChange(tls_fingerprint=mine[2])
            site.vehicles.set_credentials(T, VIN, pinned, actor="test")
            car = await tls_car(site.port, right, mine)
            car.send(chip().activation(now_s()), logging_in())
            assert (await car.reply()).data == b"\x01\x00"
            assert (await car.reply()).flag == Flag.SUCCESS
            thief = await tls_car(site.port, right, others)
            thief.send(logging_in(), chip().activation(now_s()))
            assert [(await thief.reply()).flag for _ in range(2)] == [Flag.VIN_UNKNOWN] * 2
            rows = await site.stored(4)
            assert sum("TLS certificate" in (row["fault"] or "") for row in rows) == 2

    run(scene())


def test_who_cannot_agree_on_tls_is_refused_and_counted(server, tmp_path, papers):
    right, wrong = papers

    async def scene() -> None:
        async with whole(server, tmp_path, **tls_settings(right)) as site:
            gateway = site.role.listeners["gbt32960"].gateway
            for proof in (None, wrong.issue("stranger")):
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    car = await tls_car(site.port, right, proof)
                    car.send(logging_in())
                    await car.reply()
            plain = await Car.connect(site.port)
            plain.send(logging_in())
            assert await plain.closed()
            assert not gateway.sessions
            gateway.sweep(asyncio.get_running_loop().time() + 60)
            assert gateway.figures.closed["no TLS handshake"] == 3
            assert not gateway.arriving
            good = await tls_car(site.port, right, right.issue("mine"))
            good.send(logging_in())
            assert (await good.reply()).flag == Flag.SUCCESS

    run(scene())

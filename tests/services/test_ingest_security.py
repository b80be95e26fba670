"""Encrypted reports and models' ways of reporting, through ingest to the lake."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import gmssl_pyx
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from carcloud.app.engines import Engines
from carcloud.app.ingest import make_ingest
from carcloud.app.platform_keys import platform_keys
from carcloud.app.records import prepare_records
from carcloud.codecs.gbt32960.frame import build
from carcloud.codecs.gbt32960.security import BlockCipher, DataUnitCipher, RsaCipher, Sm2Cipher
from carcloud.config import InvalidSetting, Settings
from carcloud.gateway.gbt32960.rules import time6
from carcloud.kernels.geo import gcj02_to_wgs84
from carcloud.model.time import DAY, now_us
from carcloud.ports.errors import Unavailable
from carcloud.ports.lake import Slice
from carcloud.services.telemetry import dead_letters
from carcloud.services.telemetry.dead_letters import DeadLetters
from carcloud.services.tenancy.api import Tenancy
from carcloud.services.vehicles.api import (
    CredentialsChange,
    CurrentSign,
    DataKey,
    Datum,
    NewVehicle,
    Remembered,
    VehicleChange,
    VehicleModel,
    Vehicles,
)
from carcloud.simulator import keys
from carcloud.simulator.protection import Protection
from tests.services.test_ingest import (
    LETTERS,
    RAW,
    SIGNALS,
    T,
    block,
    connect,
    server,  # noqa: F401 - a fixture
    until_confirmed,
)

A, B, C = "LTESTVNA4A0000101", "LTESTVNA6A0000102", "LTESTVNA8A0000103"
BATTERY = "Vehicle.Powertrain.TractionBattery"
LONGITUDE, LATITUDE = (f"Vehicle.CurrentLocation.{leaf}" for leaf in ("Longitude", "Latitude"))
VEHICLE = bytes.fromhex("01010302027b0012d687177c75ad4c012e1388")  # 601.2 V, 12.5 A


def unit(age_s: float = 0) -> bytes:
    return time6(int((time.time() - age_s) * 1e6)) + VEHICLE


def encrypted(vin: str, cipher: DataUnitCipher, clear: bytes, command: int = 2) -> bytes:
    return build(2025, command, 0xFE, vin, cipher.encrypt(clear), encryption=cipher.code)


class Site:
    """Ingest, registry and lake of one installation."""

    def __init__(self, settings: Settings, engines: Engines) -> None:
        self.settings, self.engines = settings, engines
        Tenancy(engines.records)
        self.ingest = make_ingest(settings, engines)
        from carcloud.app.secret import sealing_secret

        self.vehicles = Vehicles(engines.records, secret=sealing_secret(settings))
        self.numbers = iter(range(1000))

    async def take(self, *frames: tuple[str, bytes]) -> None:
        seq = await self.engines.stream.publish(
            "frames.default.gbt32960", block(*frames), str(next(self.numbers))
        )
        await until_confirmed(self.engines.stream, seq, make_ingest(self.settings, self.engines))

    def rows(self) -> list[dict]:
        rows = self.engines.lake.read(SIGNALS, Slice()).to_pylist()
        return sorted(rows, key=lambda row: row["time"])

    def letters(self) -> list[str]:
        return [row["reason"] for row in self.engines.lake.read(LETTERS, Slice()).to_pylist()]


@asynccontextmanager
async def whole(server, data: Path, **given: object) -> AsyncIterator[Site]:  # noqa: F811
    settings = Settings(
        {
            "data": str(data),
            "ingest.commit_ms": 50,
            **{name.replace("__", "."): value for name, value in given.items()},
        }
    )
    stream = await connect(server)
    prepare_records(settings)
    engines = Engines(settings, stream)
    try:
        yield Site(settings, engines)
    finally:
        await engines.close()


def key_of(cipher: BlockCipher, days: int = 1) -> DataKey:
    now = now_us()
    return DataKey(cipher.algorithm, cipher.key, now - days * DAY, now + days * DAY)


def test_aes_and_sm4_reports_become_rows_and_stay_encrypted_in_frames(server, tmp_path):  # noqa: F811
    async def scene() -> None:
        async with whole(server, tmp_path) as site:
            aes, sm4 = BlockCipher("AES", b"a" * 16), BlockCipher("SM4", b"b" * 16)
            for vin, cipher in ((A, aes), (B, sm4)):
                site.vehicles.create(T, NewVehicle(vin), actor="test")
                site.vehicles.keep_data_key(T, vin, key_of(cipher))
            site.vehicles.create(T, NewVehicle(C), actor="test")
            given = CredentialsChange(cipher="AES128", cipher_key=b"c" * 16)
            site.vehicles.set_credentials(T, C, given, actor="test")
            clear = unit(3)
            realtime = encrypted(A, aes, clear)
            await site.take(
                (A, realtime),
                (A, encrypted(A, aes, clear, command=3)),  # again, with another random vector
                (B, encrypted(B, sm4, unit(2))),
                (C, encrypted(C, BlockCipher("AES", b"c" * 16), unit(1))),
            )
            rows = site.rows()
            assert [row["vehicle"] for row in rows] == [A, B, C]
            assert [row["Vehicle.Speed"] for row in rows] == pytest.approx([63.5] * 3)
            frames = site.engines.lake.read(RAW, Slice(vehicles=(A,))).to_pylist()
            assert [row["frame"] for row in frames] == [realtime]
            assert frames[0]["time"] == rows[0]["time"]

    asyncio.run(scene())


def test_what_cannot_be_opened_waits_as_a_letter_until_the_key_is_there(
    server,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    monkeypatch.setattr(dead_letters, "WAIT_S", 60.0)  # ingest may be slower than a caller waits
    cipher = BlockCipher("SM4", b"k" * 16)

    async def scene() -> None:
        async with whole(server, tmp_path) as site:
            site.vehicles.create(T, NewVehicle(A), actor="test")
            await site.take((A, encrypted(A, cipher, unit())))
            assert site.rows() == []
            [reason] = site.letters()
            assert reason.startswith("not decrypted: decryption: no key")
            site.vehicles.keep_data_key(T, A, key_of(cipher))
            letters = DeadLetters(site.engines.lake, site.engines.stream, site.engines.records)
            letters.create_tables()
            [letter] = letters.page(T, None, None, None, 10)
            ingest = make_ingest(site.settings, site.engines)
            running = asyncio.create_task(ingest.run())
            result = await letters.reprocess(T, letter.id)
            ingest.stop()
            await running
            assert result.outcome == "stored"
            assert [row["vehicle"] for row in site.rows()] == [A]

    asyncio.run(scene())


def test_time_and_signature_are_checked_where_the_report_is_opened(server, tmp_path):  # noqa: F811
    cipher = BlockCipher("AES", b"k" * 16)
    public, sign = keys.signer("ecc", 1, A)
    chip = Protection(A, public, sign, cipher)
    other = Protection(A, public, keys.signer("ecc", 2, A)[1], cipher)

    def framed(clear: bytes) -> bytes:
        return build(2025, 2, 0xFE, A, clear)

    async def scene() -> None:
        async with whole(server, tmp_path) as site:
            site.vehicles.create(T, NewVehicle(A), actor="test")
            site.vehicles.keep_data_key(T, A, key_of(cipher, days=30))
            known = CredentialsChange(public_key=public, algorithm="ECC")
            site.vehicles.set_credentials(T, A, known, actor="test")
            await site.take(
                (A, chip.protected(framed(unit(5)))),
                (A, other.protected(framed(unit(6)))),
                (A, encrypted(A, cipher, unit(-3600))),
                (A, encrypted(A, cipher, unit(8 * 86400))),
                (A, encrypted(A, BlockCipher("AES", b"x" * 16), unit())),
                (A, build(2025, 2, 0xFE, A, b"\x00" * 15, encryption=3)),
            )
            assert len(site.rows()) == 1
            reasons = sorted(reason.split(": ")[1] for reason in site.letters())
            assert reasons == ["decryption", "decryption", "future-time", "signature", "too-old"]

    asyncio.run(scene())


def test_rsa_and_sm2_are_opened_with_the_platforms_keys(server, tmp_path):  # noqa: F811
    private = rsa.generate_private_key(65537, 2048)
    point, scalar = gmssl_pyx.sm2_key_generate()
    (tmp_path / "rsa.pem").write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    (tmp_path / "sm2.hex").write_text(scalar.hex() + "\n")
    given = {
        "gateway__gbt32960__private_key_rsa": str(tmp_path / "rsa.pem"),
        "gateway__gbt32960__private_key_sm2": str(tmp_path / "sm2.hex"),
    }

    async def scene() -> None:
        async with whole(server, tmp_path, **given) as site:
            await site.take(
                (A, encrypted(A, RsaCipher(private.public_key()), unit(1))),
                (B, encrypted(B, Sm2Cipher(point), unit(0))),
            )
            assert [row["vehicle"] for row in site.rows()] == [A, B]

    asyncio.run(scene())


def test_private_key_files_that_are_none_refuse_to_start(tmp_path):
    file = tmp_path / "key"
    for name in ("rsa", "sm2"):
        setting = f"gateway.gbt32960.private_key_{name}"
        with pytest.raises(InvalidSetting, match=setting):
            platform_keys(Settings({setting: str(file) + "-not-there"}))
        file.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
        with pytest.raises(InvalidSetting, match=setting):
            platform_keys(Settings({setting: str(file)}))
    # RFC 5915 inside PKCS#8, as GmSSL and OpenSSL write it
    der = bytes.fromhex("30250201010420") + bytes(range(32))
    from base64 import encodebytes

    file.write_bytes(b"-----BEGIN EC PRIVATE KEY-----\n" + encodebytes(der) + b"-----END-----\n")
    found = platform_keys(Settings({"gateway.gbt32960.private_key_sm2": str(file)}))
    assert found.sm2 == bytes(range(32))


def position(age_s: float, edition: int, longitude: float, latitude: float) -> bytes:
    head = bytes.fromhex("0500") + (b"\x01" if edition == 2025 else b"")
    where = b"".join(round(part * 1e6).to_bytes(4, "big") for part in (longitude, latitude))
    body = (
        VEHICLE
        if edition == 2025
        else bytes.fromhex("010103010000000000001770") + bytes.fromhex("283c32010013880000")
    )
    return time6(int((time.time() - age_s) * 1e6)) + body + head + where


def test_models_say_datum_and_sign_of_current(server, tmp_path):  # noqa: F811
    here = (116.404, 39.915)

    async def scene() -> None:
        async with whole(server, tmp_path) as site:
            shifted = VehicleModel("m1", "Shifted", datum=Datum.GCJ02)
            turned = VehicleModel("m2", "Turned", current_sign=CurrentSign.CHARGE)
            for model in (shifted, turned):
                site.vehicles.create_model(T, model, actor="test")
            for vin, model in ((A, "m1"), (B, "m2"), (C, None)):
                site.vehicles.create(T, NewVehicle(vin, model=model), actor="test")
            frames = [
                (vin, build(edition, 2, 0xFE, vin, position(age, edition, *here)))
                for vin in (A, B, C)
                for age, edition in ((20, 2016), (10, 2025))
            ]
            await site.take(*frames)
            rows = {(row["vehicle"], row["source"][9:13]): row for row in site.rows()}
            want = gcj02_to_wgs84(*(pa.array([part]).to_numpy() for part in here))
            moved = rows[A, "2016"]
            assert moved[LONGITUDE] == pytest.approx(want[0][0], abs=1e-6)
            assert moved[LATITUDE] == pytest.approx(want[1][0], abs=1e-6)
            assert moved["Vehicle.CurrentLocation.CoordinateSystem"] == "GCJ02"
            for key, row in rows.items():
                if key != (A, "2016"):
                    assert (row[LONGITUDE], row[LATITUDE]) == pytest.approx(here)
            for edition in ("2016", "2025"):
                usual, other = rows[C, edition], rows[B, edition]
                current, power = f"{BATTERY}.CurrentCurrent", f"{BATTERY}.CurrentPower"
                assert usual[current] < 0  # 12.5 A or 30 A of discharge
                assert other[current] == -usual[current]
                assert other[power] == -usual[power]
                assert rows[A, edition][current] == usual[current]

    asyncio.run(scene())


def test_a_changed_model_counts_after_a_few_seconds(tmp_path):
    from carcloud.engines.records_sql import SqlRecords

    records = SqlRecords(f"sqlite:///{tmp_path}/records.sqlite")
    Tenancy(records)
    vehicles, clock = Vehicles(records), [0.0]
    vehicles.create_model(T, VehicleModel("m1", "Shifted", datum=Datum.GCJ02), actor="t")
    vehicles.create(T, NewVehicle(A), actor="t")
    assert vehicles.special_models()
    models = Remembered(vehicles.reporting, fresh_s=5, entries=2, now=lambda: clock[0])
    assert models.many([A, B]) == {}
    vehicles.change(T, A, VehicleChange(model="m1"), actor="t")
    assert models.many([A]) == {}
    clock[0] = 6.0
    assert models.many([A])[A].datum == Datum.GCJ02
    models.many([A, B, C])
    assert len(models._known) == 2
    records.close()


def test_what_is_remembered_bridges_an_outage_of_the_records():
    clock, away = [0.0], [False]

    def load(names):
        if away[0]:
            raise Unavailable("away")
        return {name: name.lower() for name in names}

    facts = Remembered(load, fresh_s=1, now=lambda: clock[0])
    assert facts.many(["A"]) == {"A": "a"}
    away[0], clock[0] = True, 10.0
    assert facts.many(["A"]) == {"A": "a"}
    for wanted, not_before in ((["A", "B"], 0.0), (["A"], 5.0)):
        with pytest.raises(Unavailable):
            facts.many(wanted, not_before)


def test_what_is_remembered_holds_while_nothing_changes():
    clock, version, asked = [0.0], [1], []

    def load(names):
        asked.extend(names)
        return {name: len(asked) for name in names}

    def version_now():
        if version[0] is None:
            raise Unavailable("away")
        return version[0]

    facts = Remembered(load, fresh_s=5, now=lambda: clock[0], version=version_now)
    told = []
    for clock[0], version[0] in ((0, 1), (10, 1), (20, 2), (24, 3), (26, 3), (90, 3), (91, None)):
        told.append(facts.many(["A"])["A"])
    assert told == [1, 1, 2, 2, 3, 3, 4]
    assert facts.many(["A"], not_before=92.0) == {"A": 5}


def test_a_key_is_used_as_soon_as_it_is_on_record(server, tmp_path):  # noqa: F811
    """What ingest remembers may be seconds old; a frame that came later makes it look again."""
    ciphers = [BlockCipher("SM4", bytes((number,)) * 16) for number in range(3)]

    async def scene() -> None:
        async with whole(server, tmp_path) as site:
            site.vehicles.create(T, NewVehicle(A), actor="test")
            stream, ingest = site.engines.stream, make_ingest(site.settings, site.engines)
            running = asyncio.create_task(ingest.run())
            for number, cipher in enumerate(ciphers):
                site.vehicles.keep_data_key(T, A, key_of(cipher))
                frame = encrypted(A, cipher, unit(100 * number))
                seq = await stream.publish(
                    "frames.default.gbt32960", block((A, frame)), str(number)
                )
                while await stream.confirmed("FRAMES", "ingest") < seq:
                    await asyncio.sleep(0.02)
            ingest.stop()
            await running
            assert len(site.rows()) == 3
            assert site.letters() == []

    asyncio.run(scene())


def test_frames_wait_while_the_registry_cannot_be_asked(server, tmp_path):  # noqa: F811
    cipher = BlockCipher("AES", b"k" * 16)

    async def scene() -> None:
        async with whole(server, tmp_path) as site:
            site.vehicles.create(T, NewVehicle(A), actor="test")
            site.vehicles.keep_data_key(T, A, key_of(cipher))
            records = site.engines.records
            good, fails = records.reading, [3]

            def flaky():
                if fails[0]:
                    fails[0] -= 1
                    raise Unavailable("the records are away")
                return good()

            records.reading = flaky
            await site.take((A, encrypted(A, cipher, unit())))
            assert fails == [0]
            assert len(site.rows()) == 1

    asyncio.run(scene())

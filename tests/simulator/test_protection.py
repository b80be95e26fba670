"""Vehicles that sign and encrypt: their frames, and their way through the whole cloud."""

import asyncio
import time

import pytest

from carcloud.app.engines import open_lake
from carcloud.app.first_start import prepare
from carcloud.codecs.gbt32960.constants import Command, Encryption, Flag
from carcloud.codecs.gbt32960.decode import decode
from carcloud.codecs.gbt32960.frame import bcc, build, parse
from carcloud.codecs.gbt32960.security import decrypted
from carcloud.codecs.gbt32960.signature import verify_message
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.ports.lake import Slice, TableRef
from carcloud.simulator import keys
from carcloud.simulator.messages import as_reissue, login, time6
from carcloud.simulator.options import SimulateOptions
from carcloud.simulator.protection import Protection, protection
from carcloud.supervisor import Supervisor
from tests.gateway.test_gbt32960 import Car
from tests.kill.driving import drive, settled
from tests.kill.scene import settings_for

VIN, SEED = "LTESTVNA4A0000101", 11
NOW = 1_785_000_000
VEHICLE = bytes.fromhex("01010302027b0012d687177c75ad4c012e1388")


def chip(signing: keys.Signing | None, encrypting=None) -> Protection:
    found = protection(VIN, SEED, signing, encrypting)
    assert found is not None
    return found


def report(seconds: int) -> bytes:
    return build(2025, Command.REALTIME, Flag.COMMAND, VIN, time6(seconds) + VEHICLE)


@pytest.mark.parametrize("signing", ["sm2", "rsa", "ecc"])
def test_activations_and_reports_carry_good_signatures(signing):
    own = chip(signing)
    for raw in (own.activation(NOW), own.protected(report(NOW))):
        frame = parse(raw)
        message = decode(frame)
        assert message.diagnoses == ()
        assert verify_message(frame, message, own.public_key)
    frame = parse(as_reissue(own.protected(report(NOW))))
    assert verify_message(frame, decode(frame), own.public_key)  # the header is not signed


def test_the_keys_of_a_vehicle_are_the_same_in_every_run():
    for signing in ("sm2", "rsa", "ecc"):
        keys._rsa_key.cache_clear()
        first = keys.signer(signing, SEED, VIN)[0]
        keys._rsa_key.cache_clear()
        assert keys.signer(signing, SEED, VIN)[0] == first
        assert keys.signer(signing, SEED + 1, VIN)[0] != first
    assert chip(None, "aes").key_exchange(NOW) == chip(None, "aes").key_exchange(NOW + 60)


@pytest.mark.parametrize(("encrypting", "code"), [("aes", Encryption.AES), ("sm4", Encryption.SM4)])
def test_encrypted_reports_open_with_the_key_that_is_sent(encrypting, code):
    own = chip("ecc", encrypting)
    sent = decode(parse(own.key_exchange(NOW)))
    assert sent.fields["key"] == own.cipher.key
    assert sent.fields["algorithm"] == code
    frame = parse(own.protected(report(NOW)))
    assert frame.encryption == code
    clear = decrypted(frame, own.cipher)
    assert clear.data[:6] == time6(NOW)
    assert verify_message(clear, decode(clear), own.public_key)


def test_a_vehicle_without_options_needs_no_chip():
    assert protection(VIN, SEED, None, None) is None


async def tampering(port: int) -> list[Flag]:
    """A vehicle of its own: activates, reports once well, then with one bit changed."""
    own, now = chip("sm2"), int(time.time())
    bad = bytearray(own.protected(report(now - 1)))
    bad[40] ^= 0x01
    bad[-1] = bcc(bytes(bad[2:-1]))
    car = await Car.connect(port)
    car.send(
        own.activation(now),
        login(2025, VIN, now, 1, "8986"),
        own.protected(report(now)),
        bytes(bad),
    )
    return [Flag((await car.reply()).flag) for _ in range(4)]


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("sign", "encrypt"), [("sm2", "sm4"), ("ecc", None)])
def test_signed_and_encrypted_reports_through_the_whole_cloud(tmp_path, sign, encrypt):
    settings = settings_for(tmp_path, gateway__gbt32960__verify_signatures="required")
    prepare(settings)
    supervisor = Supervisor(settings)
    port = settings.whole("gateway.gbt32960.port")
    flags: list[Flag] = []

    def disturb() -> None:
        if not flags:
            flags.extend(asyncio.run(tampering(port)))

    try:
        supervisor.start()
        options = SimulateOptions(
            port=port, vehicles=20, share_2025=1.0, seed=7, losses_per_hour=200,
            backoff_s=(0.2, 1.0), drain_s=60, sign=sign, encrypt=encrypt,
        )  # fmt: skip
        result = drive(
            supervisor,
            options,
            disturb,
            until=lambda now: bool(flags) and now.acknowledged > 40 and now.lost_connections > 0,
        )
        found = settled(supervisor, result)
    finally:
        supervisor.stop()
    assert flags == [Flag.COMMAND, Flag.SUCCESS, Flag.SUCCESS, Flag.BAD_SIGNATURE]
    assert result.acknowledged > 40
    assert (result.unconfirmed, result.refused) == (0, 0)
    assert (found.missing, found.duplicates) == (0, 0)
    lake = open_lake(settings)
    letters = lake.read(TableRef(DEFAULT_TENANT, "dead_letters"), Slice()).to_pylist()
    assert [letter["vehicle"] for letter in letters] == [VIN]
    assert letters[0]["clause"] == "S25 table 8"
    frames = lake.read(TableRef(DEFAULT_TENANT, "frames"), Slice()).to_pylist()
    kinds = {frame["kind"] for frame in frames}
    assert {"activation", "login", "realtime"} <= kinds
    assert ("key_exchange" in kinds) is (encrypt is not None)
    reports = [
        row["frame"] for row in frames if row["kind"] == "realtime" and row["vehicle"] != VIN
    ]
    wanted = Encryption.NONE if encrypt is None else Encryption.SM4
    assert {frame[21] for frame in reports} == {wanted}

"""Keys of simulated vehicles, made from the seed: no secrets, and the same in every run.

A vehicle that comes back with another key would be refused by a server that has the first one.
"""

import random
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from typing import Final, Literal

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from carcloud.codecs.gbt32960.encode import Signer
from carcloud.codecs.gbt32960.signature import ecc_signer, rsa_signer, sm2_signer

Signing = Literal["sm2", "rsa", "ecc"]

# GB/T 32918.5: the curve of SM2.
_P: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
_A: Final = _P - 3
_N: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
_G: Final = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)
_RSA_BITS: Final = 2048
_EXPONENT: Final = 65537
_WITNESSES: Final = 20  # Miller-Rabin rounds

Point = tuple[int, int] | None


def secret(seed: int, vin: str, what: str) -> bytes:
    """32 bytes that belong to a vehicle of the fleet of `seed`."""
    return sha256(f"{seed}/{vin}/{what}".encode()).digest()


def signer(signing: Signing, seed: int, vin: str) -> tuple[bytes, Signer]:
    """The public key of a vehicle as its activation sends it, and what signs with the other."""
    ways: dict[Signing, Callable[[], tuple[bytes, Signer]]] = {
        "sm2": lambda: _sm2(_scalar(seed, vin, _N)),
        "ecc": lambda: _ecc(seed, vin),
        "rsa": lambda: _rsa(seed),
    }
    return ways[signing]()


def _scalar(seed: int, vin: str, order: int) -> int:
    return int.from_bytes(secret(seed, vin, "sign"), "big") % (order - 2) + 1


def _sm2(scalar: int) -> tuple[bytes, Signer]:
    point = _times(scalar, _G)
    assert point is not None  # noqa: S101 - the scalar is below the order
    public = b"".join(part.to_bytes(32, "big") for part in point)
    return public, sm2_signer(scalar.to_bytes(32, "big"), public)


def _ecc(seed: int, vin: str) -> tuple[bytes, Signer]:
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256
    key = ec.derive_private_key(_scalar(seed, vin, order), ec.SECP256R1())
    public = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return public, ecc_signer(key)


def _rsa(seed: int) -> tuple[bytes, Signer]:
    """One key for a whole fleet: finding primes takes a good part of a second."""
    key = _rsa_key(seed)
    modulus = key.public_key().public_numbers().n.to_bytes(_RSA_BITS // 8, "big")
    return modulus + _EXPONENT.to_bytes(3, "big"), rsa_signer(key)


@cache
def _rsa_key(seed: int) -> rsa.RSAPrivateKey:
    dice = random.Random(f"{seed}/rsa")  # noqa: S311 - see the module's first line
    p, q = _prime(dice), _prime(dice)
    d = pow(_EXPONENT, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(_EXPONENT, p * q)
    extra = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q)
    return rsa.RSAPrivateNumbers(p, q, d, *extra, public).private_key()


def _prime(dice: random.Random) -> int:
    """A prime of half the modulus, both top bits set, that suits the exponent."""
    bits = _RSA_BITS // 2
    while True:
        number = dice.getrandbits(bits) | 3 << bits - 2 | 1
        odd = all(number % small for small in _small_primes()) and number % _EXPONENT != 1
        if odd and _is_prime(number, dice):
            return number


@cache
def _small_primes() -> tuple[int, ...]:
    return tuple(n for n in range(3, 2000, 2) if all(n % d for d in range(3, int(n**0.5) + 1, 2)))


def _is_prime(number: int, dice: random.Random) -> bool:
    """Miller and Rabin's test."""
    twos = (number - 1 & -(number - 1)).bit_length() - 1
    odd = number - 1 >> twos
    for _ in range(_WITNESSES):
        power = pow(dice.randrange(2, number - 1), odd, number)
        if power in (1, number - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True


def _times(scalar: int, point: Point) -> Point:
    """A multiple of a point of the SM2 curve, by doubling and adding."""
    total: Point = None
    while scalar:
        if scalar & 1:
            total = _plus(total, point)
        point = _plus(point, point)
        scalar >>= 1
    return total


def _plus(one: Point, other: Point) -> Point:
    if one is None or other is None:
        return one or other
    (x1, y1), (x2, y2) = one, other
    if x1 == x2 and (y1 + y2) % _P == 0:
        return None
    if one == other:
        slope = (3 * x1 * x1 + _A) * pow(2 * y1, -1, _P)
    else:
        slope = (y2 - y1) * pow(x2 - x1, -1, _P)
    x = (slope * slope - x1 - x2) % _P
    return x, (slope * (x1 - x) - y1) % _P

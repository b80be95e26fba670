"""Codes of the frame header. GB/T 32960.3-2016 and -2025 tables 2 to 5, Annex B."""

from enum import IntEnum
from typing import Final

START: Final = {2016: b"##", 2025: b"$$"}  # 6.2.1: start bytes by edition
EDITION: Final = {b"##": 2016, b"$$": 2025}

HEADER_SIZE: Final = 24  # start, command, flag, unique id, encryption, length
UNIQUE_ID_SIZE: Final = 17
MIN_FRAME: Final = 25  # header and BCC around an empty data unit
MAX_DATA: Final = 65531  # 6.2.1: largest data unit as sent
MAX_FRAME: Final = MIN_FRAME + MAX_DATA

SIGNATURE_MARK: Final = 0xFF  # S25 table 7: starts the signature item of a report


class Command(IntEnum):
    """Command id, header byte 2 (table 3 and table B.2)."""

    LOGIN = 0x01
    REALTIME = 0x02
    REISSUE = 0x03
    LOGOUT = 0x04
    PLATFORM_LOGIN = 0x05
    PLATFORM_LOGOUT = 0x06
    HEARTBEAT = 0x07
    TIME_SYNC = 0x08
    ACTIVATION = 0x09  # 2025
    ACTIVATION_RESULT = 0x0A  # 2025
    KEY_EXCHANGE = 0x0B  # 2025
    QUERY = 0x80
    SET = 0x81
    CONTROL = 0x82


class Flag(IntEnum):
    """Reply flag, header byte 3 (table 4). 0x04 to 0x07 exist only in 2025."""

    SUCCESS = 0x01
    ERROR = 0x02
    VIN_DUPLICATE = 0x03
    VIN_UNKNOWN = 0x04
    BAD_SIGNATURE = 0x05
    BAD_STRUCTURE = 0x06
    BAD_DECRYPTION = 0x07
    COMMAND = 0xFE


class Encryption(IntEnum):
    """Encryption of the data unit, header byte 21 (table 5). SM2 and SM4 exist only in 2025."""

    NONE = 0x01
    RSA = 0x02
    AES = 0x03
    SM2 = 0x04
    SM4 = 0x05
    ABNORMAL = 0xFE
    INVALID = 0xFF


class SignatureAlgorithm(IntEnum):
    """Algorithm of a signature item (S25 table 8)."""

    SM2 = 1
    RSA = 2
    ECC = 3


COMMANDS_2016: Final = frozenset(Command) - {
    Command.ACTIVATION,
    Command.ACTIVATION_RESULT,
    Command.KEY_EXCHANGE,
}


def command_name(code: int) -> str:
    """`realtime` for 0x02; codes without a name read `0xc3`."""
    return Command(code).name.lower() if code in Command._value2member_map_ else f"0x{code:02x}"


def is_known_command(edition: int, code: int) -> bool:
    """Whether the edition gives the command id a meaning (table 3, table B.2)."""
    return code in (COMMANDS_2016 if edition == 2016 else Command._value2member_map_)

"""Whether a command fits the protocol of its vehicle, found out when it is given.

It is tried on the codec that will carry it, in the edition of the last login; where nobody knows
the edition, a command passes that fits any of them.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from carcloud.codecs.gbt32960.errors import EncodeError as GbtEncodeError
from carcloud.codecs.jt808.encode import encode
from carcloud.codecs.jt808.errors import EncodeError as JtEncodeError
from carcloud.gateway.gbt32960.orders import data_unit
from carcloud.gateway.jt808.order_messages import Unmet, message_of
from carcloud.gateway.orders import Order
from carcloud.services.commands.api import GBT32960, JT808, Check, InvalidCommand

Try = Callable[[str, Mapping[str, Any], int], None]


def _gbt32960(name: str, arguments: Mapping[str, Any], edition: int) -> None:
    try:
        data_unit(name, arguments, edition, datetime.now(UTC))
    except GbtEncodeError as error:
        raise _invalid(arguments, error.field, error.detail) from error


def _jt808(name: str, arguments: Mapping[str, Any], edition: int) -> None:
    try:
        number, fields = message_of(Order("", name, arguments, 0), edition)
        encode(number, edition, fields)
    except Unmet as error:
        raise InvalidCommand("name", str(error)) from error
    except JtEncodeError as error:
        raise _invalid(arguments, error.field, error.detail) from error
    except (ValueError, OverflowError, KeyError, TypeError, AttributeError) as error:
        raise InvalidCommand("arguments", f"do not fit: {error}") from error


def _invalid(arguments: Mapping[str, Any], field: str, detail: str) -> InvalidCommand:
    if field in arguments:
        return InvalidCommand(f"arguments.{field}", detail)
    return InvalidCommand("arguments", f"{field}: {detail}")


def _checked(attempt: Try, editions: tuple[int, ...]) -> Check:
    def check(name: str, arguments: Mapping[str, Any], edition: str | None) -> None:
        known = [one for one in editions if str(one) == edition] or editions
        refused: InvalidCommand | None = None
        for one in known:
            try:
                attempt(name, arguments, one)
            except InvalidCommand as error:
                refused = error
            else:
                return
        if refused is not None:
            raise refused

    return check


CHECKS: Final[Mapping[str, Check]] = {
    GBT32960: _checked(_gbt32960, (2016, 2025)),
    JT808: _checked(_jt808, (2011, 2013, 2019)),
}
"""By protocol."""

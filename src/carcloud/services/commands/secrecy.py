"""Passwords among the arguments and answers of commands: nobody reads them again.

Answers and the audit show `HIDDEN` in their place. Until a command has ended, its arguments lie
sealed beside it, for the gateway that sends it.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from carcloud.services.commands.kinds import BY_NAME
from carcloud.services.tenancy.api import Seal

HIDDEN: Final = "(hidden)"
_USER_OF_URL: Final = re.compile(r"://[^/@\s]+@")
_WORDS: Final = ("password", "secret")  # in a name of anything
_PARAMETERS: Final = (0x0012, 0x0016, 0x0025)  # passwords of access points, 8.8 of JT/T 808-2019


def shown(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a command of this name as anybody may see them."""
    kind = BY_NAME.get(name)
    secret = {one.name for one in kind.arguments if one.secret} if kind is not None else set()
    found = {
        name: HIDDEN if name in secret and value else without_secrets(value)
        for name, value in arguments.items()
    }
    if isinstance(parameters := found.get("parameters"), dict):
        found["parameters"] = {
            name: HIDDEN if one and _is_password(name) else one for name, one in parameters.items()
        }
    return found


def without_secrets(value: Any) -> Any:
    """JSON values with what is named like a password hidden, at any depth."""
    if isinstance(value, Mapping):
        of_password = _is_password(value.get("parameter"))
        return {
            name: HIDDEN
            if one and (_is_secret(name) or (of_password and name == "value"))
            else without_secrets(one)
            for name, one in value.items()
        }
    if isinstance(value, list | tuple):
        return [without_secrets(one) for one in value]
    return _USER_OF_URL.sub(f"://{HIDDEN}@", value) if isinstance(value, str) else value


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _WORDS)


def _is_password(parameter: object) -> bool:
    """Whether the number or name of a terminal's parameter is that of a password."""
    if isinstance(parameter, str):
        try:
            parameter = int(parameter, 0)
        except ValueError:
            return _is_secret(str(parameter))
    return parameter in _PARAMETERS


def sealed(seal: Seal, command: str, arguments: Mapping[str, Any]) -> bytes:
    """What `opened` opens; raises `NoSecret`."""
    return seal.close(command, msgspec.json.encode(arguments))


def opened(seal: Seal, command: str, kept: bytes) -> dict[str, Any] | None:
    """The arguments; None where they were sealed under another secret."""
    plain = seal.open(command, kept)
    return None if plain is None else msgspec.json.decode(plain, type=dict[str, Any])


def digest(secret: bytes, arguments: Mapping[str, Any]) -> str:
    """By which the same arguments are known again when they are gone; 64 hex digits."""
    plain = msgspec.json.encode(arguments, order="sorted")
    return hmac.new(secret, plain, hashlib.sha256).hexdigest()

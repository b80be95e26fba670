"""What can be wrong with bytes that a peer sent, and with values that a caller gave."""

from carcloud.codecs.errors import FrameError

__all__ = ["EncodeError", "FrameError", "SecurityError"]


class EncodeError(ValueError):
    """The caller gave a value that the wire cannot carry; `field` names it."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail


class SecurityError(ValueError):
    """A data unit cannot be decrypted, or a key is not usable; `code` is a short stable word."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail

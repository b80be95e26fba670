"""What can be wrong with bytes that a peer sent."""


class FrameError(ValueError):
    """The peer's bytes are no frame or message of its protocol.

    `code` is a short stable word, `offset` counts bytes from the first byte of the frame,
    `clause` names the rule that is broken, `detail` says what was found.
    """

    def __init__(self, code: str, offset: int, clause: str, detail: str) -> None:
        super().__init__(f"{code} at byte {offset}: {detail} ({clause})")
        self.code = code
        self.offset = offset
        self.clause = clause
        self.detail = detail

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FrameError) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[str, int, str, str]:
        return (self.code, self.offset, self.clause, self.detail)

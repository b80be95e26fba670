"""What can go wrong with a DBC file or with values that are to be encoded."""

from carcloud.codecs.dbc.database import Finding


class DbcError(ValueError):
    """A DBC file, or what was asked of it, is wrong."""


class StrictError(DbcError):
    """A file that was to be read strictly has findings; `findings` holds all of them."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        self.findings = findings
        bad = [one for one in findings if one.level != "info"]
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        super().__init__(f"line {bad[0].line}: {bad[0].text}{more}")


class EncodingError(DbcError):
    """Values cannot be put into a frame of this message."""

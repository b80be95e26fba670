"""What texts a database takes."""


def storable(text: str) -> bool:
    """Whether it has no NUL and is made of whole characters."""
    return "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def printable(text: str) -> str:
    """The text with whatever is not for reading replaced by a question mark."""
    return "".join(c if c.isprintable() else "?" for c in text)

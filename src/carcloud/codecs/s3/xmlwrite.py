"""Writing XML documents."""

import re
from collections.abc import Iterable, Mapping, Sequence

Content = str | int | bool | None | Mapping[str, "Content"] | Sequence[object]

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_SPECIAL = re.compile(r"[&<>\"'\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_NAMES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}


def document(root: str, content: Mapping[str, Content]) -> bytes:
    """The whole document. A list repeats its element; None leaves an element out."""
    inner = "".join(_parts(content))
    return f'{_HEAD}<{root} xmlns="{NAMESPACE}">{inner}</{root}>'.encode()


def error_document(code: str, message: str, facts: Mapping[str, str]) -> bytes:
    """The document of an error; it has no namespace."""
    inner = "".join(_parts({"Code": code, "Message": message, **facts}))
    return f"{_HEAD}<Error>{inner}</Error>".encode()


def escaped(text: str) -> str:
    """Text as it stands in a document. XML 1.0 cannot hold control characters: like S3, they are
    written as references, which lenient readers take; `encoding-type=url` avoids them."""
    return _SPECIAL.sub(lambda found: _NAMES.get(found[0]) or f"&#x{ord(found[0]):x};", text)


def _parts(content: Mapping[str, Content]) -> Iterable[str]:
    for name, value in content.items():
        if isinstance(value, str | int | Mapping) or value is None:
            yield _element(name, value)
        else:
            for one in value:
                yield _element(name, one)  # type: ignore[arg-type]


def _element(name: str, value: Content) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return f"<{name}>{str(value).lower()}</{name}>"
    if isinstance(value, Mapping):
        return f"<{name}>{''.join(_parts(value))}</{name}>"
    return f"<{name}>{escaped(str(value))}</{name}>"

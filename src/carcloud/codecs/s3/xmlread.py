"""Reading small XML documents from strangers: no DTD, no entities, bounds on everything."""

from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

from carcloud.codecs.s3.errors import S3Error

MOST_BYTES = 4_000_000  # CompleteMultipartUpload with 10,000 parts and checksums
MOST_ELEMENTS = 80_000
MOST_DEPTH = 10


@dataclass(slots=True)
class Element:
    """An element without its namespace and attributes."""

    name: str
    text: str = ""
    children: list["Element"] = field(default_factory=list)

    def all(self, name: str) -> list["Element"]:
        """The children of a name."""
        return [child for child in self.children if child.name == name]

    def one(self, name: str) -> "Element | None":
        """The only child of a name, if it is there; raises `S3Error` MalformedXML for several."""
        found = self.all(name)
        if len(found) > 1:
            raise S3Error("MalformedXML", f"{name} comes more than once")
        return found[0] if found else None

    def value(self, name: str) -> str | None:
        """The text of the only child of a name."""
        found = self.one(name)
        return None if found is None else found.text

    def needed(self, name: str) -> str:
        """As `value`; raises `S3Error` MalformedXML if it is missing."""
        found = self.value(name)
        if found is None:
            raise S3Error("MalformedXML", f"{name} is missing")
        return found


class _Tree:
    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._texts: list[list[str]] = []
        self._count = 0

    def start(self, name: str, _attributes: object) -> None:
        self._count += 1
        if self._count > MOST_ELEMENTS or len(self._open) >= MOST_DEPTH:
            raise S3Error("MalformedXML", "the document has too many elements")
        element = Element(name.rpartition(" ")[2])
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)
        self._texts.append([])

    def end(self, _name: str) -> None:
        self._open.pop().text = "".join(self._texts.pop())

    def text(self, data: str) -> None:
        if self._texts:
            self._texts[-1].append(data)

    def refuse(self, *_about: object) -> NoReturn:
        raise S3Error("MalformedXML", "a document type or entity is not taken")


def read(data: bytes, root: str) -> Element:
    """The document, whose outermost element is `root`; raises `S3Error` MalformedXML."""
    if len(data) > MOST_BYTES:
        raise S3Error("MaxMessageLengthExceeded")
    tree = _Tree()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = tree.start
    parser.EndElementHandler = tree.end
    parser.CharacterDataHandler = tree.text
    parser.StartDoctypeDeclHandler = tree.refuse
    parser.EntityDeclHandler = tree.refuse
    parser.ExternalEntityRefHandler = tree.refuse
    parser.buffer_text = True
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise S3Error("MalformedXML", f"the XML is not well formed: {error}") from error
    if tree.root is None or tree.root.name != root:
        raise S3Error("MalformedXML", f"the document must be a {root}")
    return tree.root

"""Documents from the cloud that cannot be read."""

import json

import pytest

from carcloud.agent.library import Library
from carcloud.codecs.campaign.document import document_hash
from carcloud.codecs.campaign.fields import DocumentError

ROW = {"id": "a", "kind": "campaign", "version": 1}
DEEP = b"[" * 3_000 + b"]" * 3_000  # read, but not written
NOT_TO_BE_READ = {
    "empty": b" ",
    "torn": b'{"id": "a", ',
    "not UTF-8": b'{"id": "\xff"}',
    "UTF-16": json.dumps({**ROW, "hash": document_hash(1), "document": 1}).encode("utf-16"),
    "nested": b"[" * 200_000,
    "nested document": b'{"id":"a","kind":"campaign","version":1,"hash":"0","document":%b}' % DEEP,
}


@pytest.mark.parametrize("name", NOT_TO_BE_READ)
def test_a_document_that_cannot_be_read_is_refused(tmp_path, name):
    library = Library(tmp_path)
    library.take_list(json.dumps({"documents": [{**ROW, "hash": "0"}]}).encode())
    assert library.take("a", NOT_TO_BE_READ[name])
    (row,) = library.acknowledgements()
    assert (row["id"], row["version"], row["result"]) == ("a", 1, "refused")
    assert row["reason"]
    with pytest.raises(DocumentError):
        library.take_list(NOT_TO_BE_READ[name])
    (tmp_path / "kept.json").write_bytes(NOT_TO_BE_READ[name])
    assert Library(tmp_path).held == {}, "it comes again"

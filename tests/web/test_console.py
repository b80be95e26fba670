"""The console's files and the documents."""

import gzip
from pathlib import Path

import httpx
import pytest
from litestar.exceptions import NotFoundException

from carcloud.web.console import NOT_BUILT, _answer, accepted


def test_pages_and_their_caching(anybody: httpx.Client) -> None:
    index = anybody.get("/")
    assert "console" in index.text
    assert index.headers["cache-control"] == "no-cache"
    again = anybody.get("/", headers={"If-None-Match": index.headers["etag"]})
    assert again.status_code == 304
    script = anybody.get("/assets/index-abc123.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert "immutable" in script.headers["cache-control"]


@pytest.mark.parametrize("path", ["/vehicles/LTEST1", "/query", "/a/b/c"])
def test_addresses_of_the_console_get_its_first_page(anybody: httpx.Client, path: str) -> None:
    assert anybody.get(path).text == anybody.get("/").text


@pytest.mark.parametrize(
    "path",
    ["/assets/none.js", "/favicon.svg", "/v1/none", "/assets/../x.js", "/a%00b", "/" + "a" * 300],
)
def test_a_missing_file_is_not_the_first_page(anybody: httpx.Client, path: str) -> None:
    assert anybody.get(path).status_code == 404


def test_nothing_outside_the_folder_is_given(pages: Path) -> None:
    assert (pages.parent / "secret.txt").exists()
    for path in ("../secret.txt", "assets/../../secret.txt", "/etc/passwd", "..%2fsecret.txt"):
        try:
            answer = _answer(pages, path, None)
        except NotFoundException:
            continue
        assert answer.content == (pages / "index.html").read_bytes()


def test_without_a_build_a_page_says_what_to_do(tmp_path: Path) -> None:
    assert _answer(tmp_path, "", None).content == NOT_BUILT.encode()


def test_documents(anybody: httpx.Client) -> None:
    document = anybody.get("/v1/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    tags = {tag["name"] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert set(operation["tags"]) <= tags, (method, path)
            assert operation["summary"], (method, path)
    page = anybody.get("/docs").text
    assert "http://" not in page
    assert "https://" not in page
    for name in ("page.js", "page.css"):
        assert f"/docs/{name}" in page
        assert anybody.get(f"/docs/{name}").status_code == 200


SCRIPT = b"export const text = 'a console';" * 100


def site(root: Path, *codings: str) -> Path:
    """A build with one script and its compressed copies; the brotli copy is a stand-in."""
    (root / "assets").mkdir()
    (root / "assets" / "a-1.js").write_bytes(SCRIPT)
    if "gzip" in codings:
        (root / "assets" / "a-1.js.gz").write_bytes(gzip.compress(SCRIPT, mtime=0))
    if "br" in codings:
        (root / "assets" / "a-1.js.br").write_bytes(b"brotli bytes")
    return root


@pytest.mark.parametrize(
    ("header", "codings"),
    [
        ("", ()),
        ("identity", ()),
        ("gzip", ("gzip",)),
        ("gzip, deflate, br, zstd", ("br", "gzip")),
        ("GZIP;q=0.5, br;q=0", ("gzip",)),
        ("gzip; q=0, *", ("br",)),
        ("*;q=0", ()),
        ("br;q=abc", ()),
    ],
)
def test_codings_that_a_header_takes(header: str, codings: tuple[str, ...]) -> None:
    assert accepted(header) == codings


@pytest.mark.parametrize(
    ("copies", "takes", "coding"),
    [
        (("br", "gzip"), ("br", "gzip"), "br"),
        (("br", "gzip"), ("gzip",), "gzip"),
        (("gzip",), ("br", "gzip"), "gzip"),
        (("br", "gzip"), (), None),
        ((), ("br", "gzip"), None),
    ],
)
def test_the_smallest_copy_that_is_taken(
    tmp_path: Path, copies: tuple[str, ...], takes: tuple[str, ...], coding: str | None
) -> None:
    answer = _answer(site(tmp_path, *copies), "assets/a-1.js", None, takes)
    assert answer.headers.get("Content-Encoding") == coding
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.headers["Cache-Control"].endswith("immutable")
    assert answer.media_type == "text/javascript"
    content = {"gzip": gzip.decompress, "br": lambda _: SCRIPT}.get(coding or "", bytes)
    assert content(answer.content) == SCRIPT


def test_each_coding_has_a_tag_of_its_own(tmp_path: Path) -> None:
    root = site(tmp_path, "gzip")
    plain = _answer(root, "assets/a-1.js", None)
    small = _answer(root, "assets/a-1.js", None, ("gzip",))
    assert plain.headers["ETag"] != small.headers["ETag"]
    again = _answer(root, "assets/a-1.js", small.headers["ETag"], ("gzip",))
    assert again.status_code == 304
    assert again.headers["Vary"] == "Accept-Encoding"
    assert _answer(root, "assets/a-1.js", small.headers["ETag"]).status_code != 304
    listed = f'"other", {plain.headers["ETag"]}'
    assert _answer(root, "assets/a-1.js", listed).status_code == 304


def test_a_browser_reads_a_compressed_file(anybody: httpx.Client, pages: Path) -> None:
    (pages / "assets" / "b-2.js").write_bytes(SCRIPT)
    (pages / "assets" / "b-2.js.gz").write_bytes(gzip.compress(SCRIPT))
    answer = anybody.get("/assets/b-2.js", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) < len(SCRIPT)
    assert answer.content == SCRIPT
    plain = anybody.get("/assets/b-2.js", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == SCRIPT

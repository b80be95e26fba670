"""The console's files and the documents."""

from pathlib import Path

import httpx
import pytest
from litestar.exceptions import NotFoundException

from carcloud.web.console import NOT_BUILT, _answer


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


@pytest.mark.parametrize("path", ["/assets/none.js", "/favicon.svg", "/v1/none", "/assets/../x.js"])
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

"""The page at /docs: every route of the OpenAPI document, to read and to try, without a network."""

from pathlib import Path

from litestar import Response, get

HERE = Path(__file__).parent
_CACHE = {"Cache-Control": "no-cache"}


def _file(name: str, media_type: str) -> Response[bytes]:
    return Response((HERE / name).read_bytes(), media_type=media_type, headers=_CACHE)


@get("/docs", include_in_schema=False, sync_to_thread=False)
def read_page() -> Response[bytes]:
    """The page."""
    return _file("page.html", "text/html")


@get("/docs/page.js", include_in_schema=False, sync_to_thread=False)
def read_script() -> Response[bytes]:
    """Its script."""
    return _file("page.js", "text/javascript")


@get("/docs/page.css", include_in_schema=False, sync_to_thread=False)
def read_style() -> Response[bytes]:
    """Its style."""
    return _file("page.css", "text/css")


ROUTES = (read_page, read_script, read_style)

"""Base maps made here: raster and vector tiles by template, and a PMTiles archive, over HTTP."""

import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from threading import Thread

from pmtiles.tile import Compression, TileType, zxy_to_tileid
from pmtiles.writer import Writer

RED = (200, 30, 90)
CREDIT = "Tiles of the test"
EXTENT = 4096


def png(colour: tuple[int, int, int], side: int = 256) -> bytes:
    """A square of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)  # 8 bit RGB
    rows = (b"\0" + bytes(colour) * side) * side
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out, number = out + bytes((number & 0x7F | 0x80,)), number >> 7
    return out + bytes((number,))


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def water() -> bytes:
    """A Mapbox Vector Tile (2.1) whose layer `water` covers all of it."""

    def zigzag(number: int) -> int:
        return number << 1 if number >= 0 else (-number << 1) - 1

    side = EXTENT
    moves = [9, 0, 0, 26, *map(zigzag, (side, 0, 0, side, -side, 0)), 15]  # 4.3.4, a closed ring
    polygon = _field(3, 3) + _field(4, b"".join(_varint(each) for each in moves))
    layer = _field(15, 2) + _field(1, b"water") + _field(2, polygon) + _field(5, EXTENT)
    return _field(3, layer)


def archive() -> bytes:
    """PMTiles 3 with one vector tile, the whole world."""
    file = BytesIO()
    writer = Writer(file)
    writer.write_tile(zxy_to_tileid(0, 0, 0), water())
    header = {
        "tile_type": TileType.MVT, "tile_compression": Compression.NONE,
        "min_zoom": 0, "max_zoom": 0, "center_zoom": 0, "center_lon_e7": 0, "center_lat_e7": 0,
        "min_lon_e7": -1_800_000_000, "min_lat_e7": -850_000_000,
        "max_lon_e7": 1_800_000_000, "max_lat_e7": 850_000_000,
    }  # fmt: skip
    metadata = {"attribution": CREDIT, "vector_layers": [{"id": "water", "fields": {}}]}
    writer.finalize(header, metadata)
    return file.getvalue()


class _Tiles(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    files: dict[str, tuple[str, bytes]]

    def do_GET(self) -> None:
        kind = re.fullmatch(r"/(?:\d+/\d+/\d+|world)\.(\w+)", self.path)
        found = self.files.get(kind[1]) if kind else None
        if found is None:
            self._answer(404, "text/plain", b"")
            return
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if wanted is None:
            self._answer(200, *found)
            return
        first, last = int(wanted[1]), min(int(wanted[2]), len(found[1]) - 1)
        part = f"bytes {first}-{last}/{len(found[1])}"
        self._answer(206, found[0], found[1][first : last + 1], {"Content-Range": part})

    def do_OPTIONS(self) -> None:
        allowed = {"Access-Control-Allow-Headers": "Range"}
        self._answer(204, "text/plain", b"", allowed)

    def _answer(self, status: int, kind: str, body: bytes, more: dict[str, str] = {}) -> None:  # noqa: B006
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), **more}
        for name, value in {**headers, "Access-Control-Allow-Origin": "*"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Quiet."""


@contextmanager
def tile_server() -> Iterator[str]:
    """Its origin; `/{z}/{x}/{y}.png`, `/{z}/{x}/{y}.mvt` and `/world.pmtiles` are there."""
    files = {
        "png": ("image/png", png(RED)),
        "mvt": ("application/vnd.mapbox-vector-tile", water()),
        "pmtiles": ("application/octet-stream", archive()),
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Tiles", (_Tiles,), {"files": files}))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

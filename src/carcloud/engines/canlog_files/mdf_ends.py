"""Whether an MF4 ends where its blocks say, or was cut off (ASAM MDF 4.1, blocks HD, DG, CG, DT).

asammdf reads what is there and does not tell. A logger that loses its power leaves a file that was
not finalised: its data block has no length, and its last record may lack bytes.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

_HEADER: Final = struct.Struct("<4s4xQQ")  # id, length, links
_FIRST: Final = 64  # offset of the block HD
_DATA: Final = (b"##DT", b"##DZ", b"##DV")
_VLSD: Final = 1  # flag of a channel group whose records have a length in front
_MOST: Final = 1_000_000  # blocks; a file may go round in circles
_MOST_WALKED: Final = 500_000_000  # bytes of records, which are looked at one by one
_PIECE: Final = 4 * 1024 * 1024  # bytes that are read at a time
_LONGEST_HEAD: Final = 12  # bytes of a record's id and length


class _Cut(Exception):
    """Something lies beyond the end."""


class _Blocks:
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.size = stream.seek(0, 2)
        self._left = _MOST

    def read(self, at: int, size: int) -> bytes:
        self._stream.seek(at)
        found = self._stream.read(size)
        if len(found) < size:
            raise _Cut
        return found

    def piece(self, at: int) -> bytes:
        self._stream.seek(at)
        return self._stream.read(_PIECE)

    def links(self, at: int) -> tuple[bytes, int, tuple[int, ...], int]:
        """(id, length, links, offset of what follows them)."""
        self._left -= 1
        name, length, count = _HEADER.unpack(self.read(at, _HEADER.size))
        if self._left < 0 or count > length // 8:
            raise ValueError("no block of MF4")
        links = struct.unpack(f"<{count}Q", self.read(at + _HEADER.size, 8 * count))
        return name, length, links, at + _HEADER.size + 8 * count


def is_cut_off(path: Path) -> bool:
    """Whether blocks or records of the file lack their end; False where it cannot be told."""
    with path.open("rb") as stream:
        blocks = _Blocks(stream)
        try:
            _, _, links, _ = blocks.links(_FIRST)
            group, seen = links[0], set[int]()
            while group and group not in seen:
                seen.add(group)
                _, _, links, body = blocks.links(group)
                _check_data(blocks, links, blocks.read(body, 1)[0])
                group = links[0]
        except (ValueError, IndexError, struct.error):
            return False
        except _Cut:
            return True
    return False


def _check_data(blocks: _Blocks, links: tuple[int, ...], id_bytes: int) -> None:
    _, first_group, data = links[:3]
    for at in _data_blocks(blocks, data):
        name, length, _ = _HEADER.unpack(blocks.read(at, _HEADER.size))
        if at + length > blocks.size:
            raise _Cut
        if name == b"##DT" and length <= _HEADER.size:  # not finalised: it goes to the end
            _check_records(blocks, at + _HEADER.size, id_bytes, _records(blocks, first_group))


def _data_blocks(blocks: _Blocks, at: int) -> Iterator[int]:
    while at:
        name, _, _ = _HEADER.unpack(blocks.read(at, _HEADER.size))
        if name in _DATA:
            yield at
            return
        _, _, links, _ = blocks.links(at)
        if name == b"##HL":
            at = links[0]
        elif name == b"##DL":
            yield from filter(None, links[1:])
            at = links[0]
        else:
            return


def _records(blocks: _Blocks, group: int) -> dict[int, int]:
    """Bytes of a record behind its id, by id; 0 where each tells its own."""
    found: dict[int, int] = {}
    while group:
        _, _, links, body = blocks.links(group)
        ident, _, flags, data, validity = struct.unpack("<QQH6xII", blocks.read(body, 32))
        found[ident] = 0 if flags & _VLSD else data + validity
        group = links[0]
    return found


def _check_records(blocks: _Blocks, at: int, id_bytes: int, sizes: dict[int, int]) -> None:
    if blocks.size - at > _MOST_WALKED:
        return
    data, begin = b"", at  # of a piece of the file, and where it begins
    while at < blocks.size:
        if at + _LONGEST_HEAD > begin + len(data):
            data, begin = blocks.piece(at), at
        head = data[at - begin : at - begin + _LONGEST_HEAD]
        ident = int.from_bytes(head[:id_bytes], "little")
        if len(head) < id_bytes:
            raise _Cut
        if ident not in sizes:
            return  # no record: nothing can be told
        length = 4 + int.from_bytes(head[id_bytes : id_bytes + 4], "little")
        at += id_bytes + (sizes[ident] or length)
    if at > blocks.size:
        raise _Cut

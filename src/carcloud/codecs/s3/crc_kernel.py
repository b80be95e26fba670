"""CRCs that no library here has, eight bytes at a time (slicing-by-8)."""

from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit


def crc(data: bytes, value: int, polynomial: int, bits: int) -> int:
    """A reflected CRC of up to 64 bits, continued from `value`."""
    ones = (1 << bits) - 1
    register = np.uint64(value ^ ones)
    view = np.frombuffer(data, np.uint8)
    return int(_slices(view, register, _tables(polynomial))) ^ ones


def warm() -> None:
    """Compile the kernel, or load it from the cache."""
    crc(bytes(8), 0, 0x9A6C9329AC4BC9B5, 64)


@lru_cache(maxsize=4)
def _tables(polynomial: int) -> Any:
    """Eight tables of 256 values, so that eight bytes are taken at once."""
    tables = np.zeros((8, 256), np.uint64)
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (polynomial if value & 1 else 0)
        tables[0, byte] = value
    for index in range(1, 8):
        before = tables[index - 1]
        low = (before & np.uint64(255)).astype(np.int64)
        tables[index] = (before >> np.uint64(8)) ^ tables[0][low]
    return tables


@njit(cache=True, nogil=True)
def _slices(data: Any, register: Any, tables: Any) -> Any:
    byte, eight = np.uint64(255), np.uint64(8)
    whole = len(data) // 8 * 8
    for start in range(0, whole, 8):
        word = register
        for index in range(8):
            word ^= np.uint64(data[start + index]) << np.uint64(8 * index)
        register = np.uint64(0)
        for index in range(8):
            register ^= tables[7 - index, (word >> np.uint64(8 * index)) & byte]
    for index in range(whole, len(data)):
        register = tables[0, (register ^ np.uint64(data[index])) & byte] ^ (register >> eight)
    return register

"""Loads, reinterpretations and decorators that the compiled kernels of the codecs share."""

# mypy: disable-error-code="no-any-return, return-value"

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

# Nothing in the kernels allocates, so reference counts, which cost much, are off.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}
# Only compiled code calls the kernels: no wrappers for Python and C, which take most of the time.
_INNER: dict[str, Any] = {**OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
Compiled = TypeVar("Compiled", bound=Callable[..., Any])


def jit(function: Compiled) -> Compiled:
    """Compile for other compiled code to call, which caches the whole."""
    compiled = njit(**_INNER)(function)
    return cast(Compiled, compiled)


def cached(function: Compiled) -> Compiled:
    """Compile when first called, and keep the code for the next process."""
    return cast(Compiled, njit(cache=True, nogil=True, error_model="numpy")(function))


def inline(function: Compiled) -> Compiled:
    """Compile into the caller: passing all the arrays on costs more than most bodies."""
    compiled = njit(forceinline=True, **_INNER)(function)
    return cast(Compiled, compiled)


def _unaligned(bits: int, swap: bool) -> Any:
    """Typing and lowering of a load at any address, byte order swapped or not."""

    def load(_context: Any, array: Any, _at: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            view = context.make_array(signature.args[0])(context, builder, args[0])
            place = builder.gep(view.data, [args[1]])
            word = builder.load(builder.bitcast(place, ir.IntType(bits).as_pointer()), align=1)
            if swap:
                word = builder.bswap(word)
                word = builder.zext(word, ir.IntType(32)) if bits < 32 else word
            return word

        wide = bits == 64 or not swap
        return (types.uint64 if wide else types.uint32)(array, types.int64), code

    return load


def _reinterpret(integer: Any, real: Any, target: Any) -> Any:
    """Typing and lowering of bits taken for a float."""

    def take(_context: Any, _bits: Any) -> Any:
        def code(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], target)

        return real(integer), code

    return take


load64 = intrinsic(_unaligned(64, False))
"""Eight bytes at any address as a word of the machine, which is taken as little-endian."""
load64_big = intrinsic(_unaligned(64, True))
"""Eight bytes at any address as a big-endian number."""
load32 = intrinsic(_unaligned(32, True))
"""Four bytes at any address as a big-endian number."""
load16 = intrinsic(_unaligned(16, True))
"""Two bytes at any address as a big-endian number; loops over it become vector code."""

as_double = intrinsic(_reinterpret(types.uint64, types.float64, ir.DoubleType()))
"""The float64 that 64 bits are."""
as_float = intrinsic(_reinterpret(types.uint32, types.float32, ir.FloatType()))
"""The float32 that 32 bits are."""


@inline
def u16(data: Bytes, at: int) -> int:
    """Two bytes as a big-endian number."""
    return np.int64(load16(data, at))


@inline
def u32(data: Bytes, at: int) -> int:
    """Four bytes as a big-endian number."""
    return np.int64(load32(data, at))

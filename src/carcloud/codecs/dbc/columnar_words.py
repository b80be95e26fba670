"""Loads and reinterpretations that the compiled kernels use, which numba has no words for."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic

Compiled = TypeVar("Compiled", bound=Callable[..., Any])


def compiled(function: Compiled) -> Compiled:
    """Compile when first called, and keep the code for the next process."""
    return cast(Compiled, njit(cache=True, nogil=True, error_model="numpy")(function))


def _load(swap: bool) -> Any:
    """Typing and lowering of an eight-byte load at any address."""

    def load(_context: Any, array: Any, _at: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            view = context.make_array(signature.args[0])(context, builder, args[0])
            place = builder.gep(view.data, [args[1]])
            word = builder.load(builder.bitcast(place, ir.IntType(64).as_pointer()), align=1)
            return builder.bswap(word) if swap else word

        return types.uint64(array, types.int64), code

    return load


def _reinterpret(integer: Any, real: Any, target: Any) -> Any:
    """Typing and lowering of bits taken for a float."""

    def take(_context: Any, _bits: Any) -> Any:
        def code(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], target)

        return real(integer), code

    return take


little64 = intrinsic(_load(False))
"""Eight bytes at any address as a little-endian number (of a little-endian machine)."""
big64 = intrinsic(_load(True))
"""Eight bytes at any address as a big-endian number."""
as_double = intrinsic(_reinterpret(types.uint64, types.float64, ir.DoubleType()))
"""The float64 that 64 bits are."""
as_float = intrinsic(_reinterpret(types.uint32, types.float32, ir.FloatType()))
"""The float32 that 32 bits are."""

"""Check sums that more than one protocol has."""

_FOLDS = [tuple(8 << half for half in reversed(range(halvings))) for halvings in range(33)]


def bcc(data: bytes | bytearray) -> int:
    """XOR of all bytes: folds the bytes, read as one number, in half until one byte is left.

    What a fold leaves above its lower half is garbage, which no later fold brings down.
    """
    folded = int.from_bytes(data, "little")
    for bits in _FOLDS[(len(data) - 1).bit_length()]:
        folded ^= folded >> bits
    return folded & 0xFF

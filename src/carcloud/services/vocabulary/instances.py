"""Instances of a branch: `Motor[1,4]`, `["Left","Right"]`, and lists of those as a product."""

import re
from itertools import product
from typing import Final

from carcloud.services.vocabulary.document import Given

MOST: Final = 200  # instances of one branch
_RANGE = re.compile(r"([A-Z][A-Za-z0-9]{0,39})\[(\d{1,4}),\s*(\d{1,4})\]")
_NAME = re.compile(r"[A-Z][A-Za-z0-9]{0,39}")


def instances(given: Given) -> list[tuple[str, ...]]:
    """The names that each instance adds to the path; raises `ValueError` telling what is wrong."""
    if not isinstance(given.value, list):
        dimensions = [_one(given)]
    elif all(not isinstance(one.value, list) and not _RANGE.fullmatch(one.text)
             for one in given.value):  # fmt: skip
        dimensions = [[_name(one) for one in given.value]]
    else:
        dimensions = [_one(one) for one in given.value]
    count = 1
    for names in dimensions:
        if not names:
            raise ValueError("a branch with instances has at least one")
        count *= len(names)
    if count > MOST:
        raise ValueError(f"a branch has at most {MOST} instances, not {count}")
    return list(product(*dimensions))


def _one(given: Given) -> list[str]:
    if isinstance(given.value, list):
        return [_name(one) for one in given.value]
    found = _RANGE.fullmatch(given.text)
    if found is None:
        return [_name(given)]
    first, last = int(found[2]), int(found[3])
    if not first <= last <= first + MOST:
        raise ValueError(f"{given.text}: from the lower to the higher, at most {MOST}")
    return [f"{found[1]}{number}" for number in range(first, last + 1)]


def _name(given: Given) -> str:
    if isinstance(given.value, list) or not _NAME.fullmatch(given.text):
        raise ValueError(f"{given.text or 'a list in a list'} is no name of an instance")
    return given.text

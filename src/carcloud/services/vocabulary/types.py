"""What the service hands over its wall. Times in us since 1970."""

from msgspec import Struct


class Finding(Struct, frozen=True):
    """What is wrong at a line (from 1) of an overlay; `node` is the path it speaks of."""

    line: int
    node: str
    text: str


class Overlay(Struct, frozen=True):
    """One version of a tenant's overlay; version 0 with an empty text = there is none yet."""

    version: int
    created_us: int
    actor: str
    note: str
    text: str


class Effect(Struct, frozen=True):
    """What an overlay does to the catalogue: paths by what becomes of them, and what is wrong."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    findings: tuple[Finding, ...]

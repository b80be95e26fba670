"""Kinds of jobs: what a service registers so that tenants can have it done."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from carcloud.services.compute.context import Context
from carcloud.services.compute.errors import InvalidJob
from carcloud.services.compute.tables import WRITE, named, own_name


@dataclass(frozen=True, slots=True)
class Kind:
    """A row of the registry.

    `params` is a msgspec Struct; `run` is called in a process of its own and returns what JSON can
    carry. It may be called again after a crash: what it leaves behind must bear that. Parameters
    called `tables` (by name) and `table` (with a `name`) are tables of the lake that it writes.
    """

    name: str
    help: str
    params: type[msgspec.Struct]
    run: Callable[[Context[Any]], Any]
    needs: tuple[str, ...] = ()  # actions that a submitter must be allowed besides `jobs:run`
    also: Callable[[Any], Iterable[str]] = lambda _: ()  # more of them, by the parameters


class Kinds(Mapping[str, Kind]):
    """The registry; no kind writes a table that is `built_in`."""

    def __init__(self, kinds: Iterable[Kind] = (), *, built_in: Collection[str] = ()) -> None:
        self._kinds: dict[str, Kind] = {}
        self._built_in = frozenset(built_in)
        for kind in kinds:
            self.register(kind)

    def register(self, kind: Kind) -> None:
        """Add a kind; `ValueError` if there is one of this name."""
        if kind.name in self._kinds:
            raise ValueError(f"there is a kind {kind.name!r} already")
        self._kinds[kind.name] = kind

    def __getitem__(self, name: str) -> Kind:
        return self._kinds[name]

    def __iter__(self) -> Any:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)

    def checked(self, name: str, params: Mapping[str, Any]) -> msgspec.Struct:
        """The parameters as the kind takes them; raises `InvalidJob`."""
        if name not in self._kinds:
            raise InvalidJob("kind", f"there is no kind {name!r}: {', '.join(self._kinds)}")
        try:
            checked = msgspec.convert(dict(params), self._kinds[name].params)
        except msgspec.ValidationError as error:
            raise InvalidJob("params", str(error)) from error
        for table in named(params):
            if why := own_name(table, self._built_in):
                raise InvalidJob("params", why)
        return checked

    def needed(self, name: str, params: Mapping[str, Any]) -> list[str]:
        """The actions that a submitter must be allowed; raises `InvalidJob`."""
        given = self.checked(name, params)
        tables = [WRITE] if named(params) else []
        return sorted({*self._kinds[name].needs, *self._kinds[name].also(given), *tables})

    def schema(self, name: str) -> dict[str, Any]:
        """JSON Schema of a kind's parameters."""
        return msgspec.json.schema(self._kinds[name].params)

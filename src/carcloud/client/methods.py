"""One definition of a method serves the blocking and the asynchronous client.

A method is written once and returns what is to be asked. Taken from a blocking client it does so
and returns the result; taken from an asynchronous one it returns something to await, or to go
through with `async for`.
"""

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, overload

from carcloud.client.exchange import Call, Listing, Stream

P = ParamSpec("P")
T = TypeVar("T")


class Runs(Protocol):
    """A client that does calls."""

    def do(self, call: Call[T]) -> T: ...
    def each(self, what: Listing[T] | Stream[T]) -> Iterator[T]: ...
    def pause(self, seconds: float) -> None: ...


class AsyncRuns(Protocol):
    """A client that does calls and is awaited."""

    async def do(self, call: Call[T]) -> T: ...
    def each(self, what: Listing[T] | Stream[T]) -> AsyncIterator[T]: ...
    async def pause(self, seconds: float) -> None: ...


class Group:
    """Methods of a blocking client that belong together."""

    def __init__(self, client: Runs) -> None:
        self._client = client


class AsyncGroup:
    """Methods of an asynchronous client that belong together."""

    def __init__(self, client: AsyncRuns) -> None:
        self._client = client


class call(Generic[P, T]):
    """A method with one result."""

    def __init__(self, build: Callable[Concatenate[Any, P], Call[T]]) -> None:
        self.build = build
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, group: None, owner: type) -> Self: ...
    @overload
    def __get__(self, group: Group, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, group: AsyncGroup, owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, group: Group | AsyncGroup | None, owner: type) -> Any:
        if group is None:
            return self

        def bound(*args: P.args, **kwargs: P.kwargs) -> Any:
            return group._client.do(self.build(group, *args, **kwargs))

        return _like(bound, self.build, group)


class many(Generic[P, T]):
    """A method whose results come one after the other: pages of a list, or a stream."""

    def __init__(self, build: Callable[Concatenate[Any, P], Listing[T] | Stream[T]]) -> None:
        self.build = build
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, group: None, owner: type) -> Self: ...
    @overload
    def __get__(self, group: Group, owner: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, group: AsyncGroup, owner: type) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, group: Group | AsyncGroup | None, owner: type) -> Any:
        if group is None:
            return self

        def bound(*args: P.args, **kwargs: P.kwargs) -> Any:
            return group._client.each(self.build(group, *args, **kwargs))

        return _like(bound, self.build, group)


def _like(bound: Callable[..., Any], build: Callable[..., Any], group: object) -> Any:
    """`bound` with the name, text and signature that the method has on `group`."""
    return functools.update_wrapper(bound, build.__get__(group))

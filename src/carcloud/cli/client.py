"""The Python client as commands use it: its errors become `Failure`, with the next step."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click
import httpx

import carcloud.client as api
from carcloud.cli.failure import Failure
from carcloud.client.local import Access, find_access
from carcloud.config import Settings

Command = TypeVar("Command", bound=Callable[..., Any])
T = TypeVar("T")

RETRY = api.Retry(times=2, unreachable=False)  # a person waits, and sees at once that it is down


class Client:
    """Calls of one carcloud. Every failure is a `Failure` that names the next step.

    `api` has the methods of the Python client; what they raise is told by `failures`.
    """

    def __init__(self, access: Access, timeout_s: float = 60) -> None:
        with failures():
            self.api = api.Client(access.url, access.token, timeout_s=timeout_s, retry=RETRY)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.api.close()

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One call; `query`, `json`, `content`, `headers` as the Python client takes them."""
        with failures():
            return self.api.send(method, path, **options)

    def get(self, path: str, **query: Any) -> Any:
        """The JSON of a GET; query arguments that are None are left out."""
        answer = self.send("GET", path, query=query)
        try:
            return answer.json()
        except ValueError as error:
            raise _not_carcloud(f"{answer.url} did not answer with JSON") from error

    def items(self, path: str, limit: int, **query: Any) -> Iterator[dict[str, Any]]:
        """Up to `limit` items of a list, page after page."""
        return told(self.api.items(path, limit, **query))


def told(things: Iterator[T]) -> Iterator[T]:
    """The things; what goes wrong on the way is a `Failure`."""
    with failures():
        yield from things


@contextmanager
def failures() -> Iterator[None]:
    """What the Python client raises inside is a `Failure` outside."""
    try:
        yield
    except api.Refused as error:
        raise Failure(str(error).rstrip("."), _NEXT_STEP.get(error.status, "")) from error
    except api.Unreachable as error:
        raise Failure(str(error), "is it running? `carcloud up` starts one") from error
    except api.NotCarcloud as error:
        raise _not_carcloud(str(error)) from error
    except api.JobFailed as error:
        raise Failure(str(error), "") from error


def _not_carcloud(what: str) -> Failure:
    return Failure(what, "is a carcloud listening there?")


_NEXT_STEP = {
    401: "give a valid --token, or set CARCLOUD_TOKEN",
    403: "ask for a token with this permission",
    404: "check the name against the list",
    412: "somebody changed it meanwhile: look again, then repeat",
    429: "wait a little, then repeat",
    503: "an engine is down: `carcloud status` tells which",
}


def with_client(command: Command) -> Command:
    """Give a command --url and --token, and pass it a `Client` as its argument `client`."""

    @click.option("--url", envvar="CARCLOUD_URL", help="Address of the carcloud to ask.")
    @click.option("--token", envvar="CARCLOUD_TOKEN", help="What lets you in there.")
    @click.pass_context
    def wrapped(
        ctx: click.Context, /, *args: Any, url: str | None, token: str | None, **kwargs: Any
    ) -> Any:
        settings = ctx.find_object(Settings) or Settings()
        client = ctx.with_resource(Client(_access(url, token, settings)))
        return ctx.invoke(command, *args, client=client, **kwargs)

    wrapped.__doc__ = command.__doc__
    wrapped.__name__ = command.__name__
    wrapped.__click_params__ = [  # type: ignore[attr-defined]
        *getattr(command, "__click_params__", []),
        *getattr(wrapped, "__click_params__", []),
    ]
    return wrapped  # type: ignore[return-value]


def _access(url: str | None, token: str | None, settings: Settings) -> Access:
    try:
        return find_access(url, token, settings)
    except api.UnreadableAccess as error:
        raise Failure(str(error), "give --url and --token") from error
    except api.NoCarcloud as error:
        step = "start one with `carcloud up`, or name another with --url or --set data=FOLDER"
        raise Failure(str(error), step) from error

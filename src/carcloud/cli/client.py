"""A small client of the HTTP API of a running carcloud, for the commands that need one."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import click
import httpx

from carcloud.cli.failure import Failure
from carcloud.config import Settings

DEMO_DATA = Path(".carcloud/demo")  # where `carcloud demo` keeps its data by default
PAGE = 500  # the largest page that the API gives

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Access:
    """Where a carcloud listens and what lets us in; the token may be empty."""

    url: str
    token: str


class Client:
    """Calls of one carcloud. Every failure is a `Failure` that names the next step."""

    def __init__(self, access: Access, timeout_s: float = 60) -> None:
        headers = {"authorization": f"Bearer {access.token}"} if access.token else {}
        self._url = access.url
        self._http = httpx.Client(base_url=access.url, headers=headers, timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One call; `options` as httpx takes them. Answers of 400 and above raise `Failure`."""
        try:
            answer = self._http.request(method, path, **options)
        except (httpx.TransportError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise _unreachable(self._url, error) from error
        if answer.is_error:
            raise _refused(answer)
        return answer

    @contextmanager
    def stream(self, path: str) -> Iterator[Iterator[bytes]]:
        """The bytes of a GET as they come, however long that takes."""
        timeout = httpx.Timeout(60, read=None)
        try:
            with self._http.stream("GET", path, timeout=timeout) as answer:
                if answer.is_error:
                    answer.read()
                    raise _refused(answer)
                yield answer.iter_bytes()
        except httpx.TransportError as error:
            raise _unreachable(self._url, error) from error

    def get(self, path: str, **query: Any) -> Any:
        """The JSON of a GET; query arguments that are None are left out."""
        given = {name: value for name, value in query.items() if value is not None}
        return _json(self.send("GET", path, params=given))

    def items(self, path: str, limit: int, **query: Any) -> Iterator[Mapping[str, Any]]:
        """Up to `limit` items of a list, page after page."""
        cursor = None
        while limit > 0:
            page = self.get(path, cursor=cursor, limit=min(limit, PAGE), **query)
            yield from page["items"][:limit]
            limit -= len(page["items"])
            cursor = page["next_cursor"]
            if cursor is None or not page["items"]:
                return


def find_access(settings: Settings, url: str | None, token: str | None) -> Access:
    """The carcloud that `url` names, or else the one that runs on this machine.

    That is the one on the settings' data folder, or a demo that was started in this folder.
    """
    if url:
        return Access(url.rstrip("/"), token or "")
    folders = [Path(settings.text("data"))]
    if settings["data"] == Settings()["data"]:
        folders.append(DEMO_DATA)
    files = [folder / "run" / "web.json" for folder in folders]
    file = next((file for file in files if file.exists()), None)
    if file is None:
        raise Failure(
            f"no carcloud runs on the data folder {settings.text('data')}",
            "start one with `carcloud up`, or name another with --url or --set data=FOLDER",
        )
    return _running(file, token)


def _running(file: Path, token: str | None) -> Access:
    try:
        running = json.loads(file.read_text())
        return Access(str(running["url"]).rstrip("/"), token or str(running.get("token", "")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Failure(f"{file} cannot be read: {error}", "give --url and --token") from error


def with_client(command: Command) -> Command:
    """Give a command --url and --token, and pass it a `Client` as its argument `client`."""

    @click.option("--url", envvar="CARCLOUD_URL", help="Address of the carcloud to ask.")
    @click.option("--token", envvar="CARCLOUD_TOKEN", help="What lets you in there.")
    @click.pass_context
    def wrapped(
        ctx: click.Context, /, *args: Any, url: str | None, token: str | None, **kwargs: Any
    ) -> Any:
        settings = ctx.find_object(Settings) or Settings()
        client = ctx.with_resource(Client(find_access(settings, url, token)))
        return ctx.invoke(command, *args, client=client, **kwargs)

    wrapped.__doc__ = command.__doc__
    wrapped.__name__ = command.__name__
    wrapped.__click_params__ = [  # type: ignore[attr-defined]
        *getattr(command, "__click_params__", []),
        *getattr(wrapped, "__click_params__", []),
    ]
    return wrapped  # type: ignore[return-value]


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError as error:
        raise Failure(
            f"{answer.url} did not answer with JSON", "is a carcloud listening there?"
        ) from error


def _unreachable(url: str, error: Exception) -> Failure:
    reason = str(error) or type(error).__name__
    return Failure(f"cannot reach {url}: {reason}", "is it running? `carcloud up` starts one")


_NEXT_STEP = {
    401: "give a valid --token, or set CARCLOUD_TOKEN",
    403: "ask for a token with this permission",
    404: "check the name against the list",
    412: "somebody changed it meanwhile: look again, then repeat",
    429: "wait a little, then repeat",
    503: "an engine is down: `carcloud status` tells which",
}


def _refused(answer: httpx.Response) -> Failure:
    """An RFC 9457 problem document as one line."""
    try:
        problem = answer.json()
        said = str(problem.get("detail") or problem["title"])
        fields = problem.get("errors") or []
        said += "".join(
            f"; {error['field']}: {error['detail']}" for error in fields if error["detail"] != said
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        said = f"{answer.request.url} answered {answer.status_code} {answer.reason_phrase}"
    return Failure(said.rstrip("."), _NEXT_STEP.get(answer.status_code, ""))

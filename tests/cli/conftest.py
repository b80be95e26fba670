"""A stand-in for the web role: it answers as the HTTP contract says and keeps what it was asked."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner, Result

from carcloud.cli import main


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    """What the server says to a method and path."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Web:
    """The running stand-in."""

    url: str
    answers: dict[tuple[str, str], list[Answer]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def says(
        self, method: str, path: str, document: Any, status: int = 200, **headers: str
    ) -> None:
        """Queue an answer; the last one queued for a path is repeated."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.setdefault((method, path), []).append(Answer(body, status, named))


def _handler(web: Web) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            web.asked.append(Asked(self.command, parts.path, parse_qs(parts.query), headers, body))
            queue = web.answers[self.command, parts.path]
            answer = queue.pop(0) if len(queue) > 1 else queue[0]
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        def log_message(self, *_args: Any) -> None:
            """Keep the test's output clean."""

    return Handler


@pytest.fixture
def web() -> Iterator[Web]:
    """A stand-in on a free port of this machine."""
    made = Web("")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made))
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


class Carcloud:
    """`carcloud(...)` runs the command in this process, on a data folder of its own."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def __call__(self, *arguments: str, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(main, ["--set", f"data={self.data}", *arguments], input=stdin)

    def runs_at(self, web: Web) -> None:
        """Leave the file that a running carcloud leaves."""
        (self.data / "run").mkdir()
        (self.data / "run" / "web.json").write_text(json.dumps({"url": web.url, "token": "secret"}))


@pytest.fixture
def carcloud(tmp_path: Path) -> Carcloud:
    """The command line on an empty data folder."""
    return Carcloud(tmp_path)

"""The OpenAPI document holds up nobody: it is built once, and not on the event loop."""

import asyncio
import threading
from typing import Any

import httpx
import msgspec
from litestar import Litestar, get
from litestar.enums import MediaType
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Schema
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition

from carcloud.web.document import PATH, Document


class Thing(msgspec.Struct):
    name: str


class Watching(OpenAPISchemaPlugin):
    """Hears in which thread the schema of `Thing` is made."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:
        return value is Thing

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        self.threads.append(threading.current_thread())
        return Schema(title="a thing")


@get("/thing", sync_to_thread=False)
def read_thing() -> Thing:
    return Thing("x")


def test_it_is_built_once_and_in_another_thread() -> None:
    watching = Watching()
    config = OpenAPIConfig(
        "test", "1", path=PATH, openapi_router=Document().router(),
        render_plugins=[JsonRenderPlugin(path="/", media_type=MediaType.JSON)],
    )  # fmt: skip
    app = Litestar([read_thing], openapi_config=config, plugins=[watching])

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://cloud") as client:
            paths = (PATH, PATH, f"{PATH}/", f"{PATH}/more.json")
            return await asyncio.gather(*(client.get(path) for path in paths))

    *told, nothing = asyncio.run(ask())
    assert nothing.status_code == 404
    assert {one.headers["content-type"] for one in told} == {"application/json"}
    assert all(list(one.json()["paths"]) == ["/thing"] for one in told)
    assert len(watching.threads) == 1
    assert watching.threads[0] is not threading.main_thread()

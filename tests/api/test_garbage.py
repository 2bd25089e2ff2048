"""Requests leave no circles behind: what they held is free at once, not when the collector comes by."""

import gc
from collections.abc import Iterator

import pytest

from tests.api.bomb import gzip_bomb
from tests.api.requests import a_service, create_service
from tests.api.stub import CREATE, GET, WATCH
from tests.api.transcript import ask, ask_json, envelope, talking
from tests.api.world import ABSENT, World

JSON = {"content_type": "application/json"}


@pytest.fixture
def collector() -> Iterator[None]:
    """It comes when it is called, and no sooner, and then looks at what is new only."""
    gc.disable()
    gc.freeze()
    yield
    gc.unfreeze()
    gc.enable()


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        (CREATE, b"{", JSON),
        (CREATE, b"{}", JSON),
        (CREATE, b"\xff", {"content_type": "application/proto"}),
        (CREATE, gzip_bomb(), JSON | {"content_encoding": "gzip"}),
        (CREATE, b"{}", JSON | {"content_length": "20000000"}),
        (CREATE, b"{}", {"content_type": "text/plain"}),
        (GET, f'{{"id":"{ABSENT}"}}'.encode(), JSON),
        (WATCH, b"{", {"content_type": "application/connect+json"}),
        (WATCH, envelope(b"{"), {"content_type": "application/connect+json"}),
        ("/nothing", b"", JSON),
    ],
    ids=["json", "rule", "proto", "bomb", "length", "type", "not found", "envelope", "stream", "path"],
)
@pytest.mark.usefixtures("collector")
async def test_a_refusal_leaves_no_garbage(
    world: World, path: str, body: bytes, headers: dict[str, str]
) -> None:
    await ask(world.app, path, body, **headers)
    gc.collect()
    for _ in range(3):
        await ask(world.app, path, body, **headers)
    assert gc.collect() == 0


@pytest.mark.usefixtures("collector")
async def test_an_answer_leaves_no_garbage(world: World) -> None:
    id_ = await create_service(world)
    await ask_json(world.app, GET, {"id": id_})
    gc.collect()
    for number in range(3):
        await ask_json(world.app, GET, {"id": id_})
        await ask_json(world.app, CREATE, a_service(f"web-{number}"))
    assert gc.collect() == 0


@pytest.mark.usefixtures("collector")
async def test_a_watch_leaves_next_to_nothing(world: World) -> None:
    """Its tasks are cancelled, which makes a few circles of nothing that is large."""
    headers = {"content-type": "application/connect+json"}
    found: list[int] = []
    for _ in range(4):
        async with talking(world.app, WATCH, headers, envelope(b"{}")) as conversation:
            await conversation.next()
        found.append(gc.collect())
    assert max(found[1:]) < 200

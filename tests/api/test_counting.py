"""Each answer is counted once, by method and code."""

from runner_agent.api.app import Health, build_app
from runner_agent.api.auth import Guard
from runner_agent.api.methods import bound_methods
from tests.api.requests import create_service
from tests.api.transcript import ask_json
from tests.api.world import ABSENT, AGENT, AUTOMATION, TOKEN, World


async def test_calls_are_counted(world: World) -> None:
    counted: list[tuple[str, str]] = []
    app = build_app(
        bound_methods(world.backend),
        Guard(TOKEN, frozenset({0, 1000}), world.clock.now),
        Health(lambda: True),
        world.closing,
        {},
        lambda path, code: counted.append((path.rpartition("/")[2], code)),
    )
    id_ = await create_service(world)
    for path, message in (
        (f"/{AUTOMATION}/GetService", {"id": id_}),
        (f"/api/{AUTOMATION}/GetService", {"id": ABSENT}),
        (f"/{AUTOMATION}/GetService", {"id": "web"}),
        (f"/{AGENT}/GetAgent", {}),
        (f"/{AGENT}/Nothing", {}),
        ("/gitpod.v1.EventService/WatchEvents", {"organization": True}),
    ):
        await ask_json(app, path, message)
    assert counted == [
        ("GetService", "ok"),
        ("GetService", "not_found"),
        ("GetService", "invalid_argument"),
        ("GetAgent", "ok"),
        ("WatchEvents", "invalid_argument"),
    ], "what is no method is not counted: its name could be anything"

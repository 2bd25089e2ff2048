"""Outputs that several hands write: the run, and callers of UpdateService.status (rules 3.12, 5.3, 5.6)."""

from __future__ import annotations

from pathlib import Path

from runner_agent.control.drafts import ServicePatch, StatusPatch
from runner_agent.control.services import ServiceControl
from runner_agent.core.outputs import left_standing
from runner_agent.kit.virtual import virtual_time
from runner_agent.model.phases import ServicePhase
from tests.support.world import Scene, scene

WRITES_TWICE = (
    "echo port=80 >> $GITPOD_OUTPUT; sleep 10; echo port=81 >> $GITPOD_OUTPUT; "
    "echo name= >> $GITPOD_OUTPUT; sleep infinity"
)


async def post(it: Scene, reference: str, **output: str) -> None:
    control = ServiceControl(it.store, it.clock, it.new_id)
    await control.update(it.seen(reference).id, ServicePatch(status=StatusPatch(output)))


def output(it: Scene) -> dict[str, str]:
    return dict(it.seen("web").status.output)


@virtual_time
async def test_rule_5_3_the_last_write_wins_whoever_made_it(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        await it.service("web", WRITES_TWICE)
        await it.start("web")
        await it.at(5)
        assert output(it) == {"port": "80"}
        await post(it, "web", port="8080", name="ours", host="here")
        assert output(it) == {"port": "8080", "name": "ours", "host": "here"}
        await it.at(15)
        assert output(it) == {"port": "81", "host": "here"}, "the run wrote after it"
        await post(it, "web", port="")
        assert output(it) == {"host": "here"}, "and now somebody after the run"
        await it.restarted(after=1)
        await it.at(25)
        assert output(it) == {"host": "here"}, "an agent that comes back tells nothing anew"


@virtual_time
async def test_rule_5_3_a_line_without_an_end_is_one_write(tmp_path: Path) -> None:
    """It is published before its end is known; that it ends is no news to win over what came later."""
    async with scene(tmp_path) as it:
        await it.service("web", "printf port=80 >> $GITPOD_OUTPUT; sleep infinity")
        await it.start("web")
        await it.at(5)
        await post(it, "web", port="8080")
        await it.at(10)
        await it.stop("web")
        await it.until_phase("web", ServicePhase.STOPPED)
        assert output(it) == {"port": "8080"}


@virtual_time
async def test_rule_5_6_what_is_posted_shows_no_secret(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        await it.service("web", "sleep infinity")
        await it.start("web")
        await it.at(1)
        control = ServiceControl(it.store, it.clock, it.new_id, lambda text: text.replace("hunter2", "***"))
        patch = ServicePatch(status=StatusPatch({"url": "http://me:hunter2@here", "hunter2": "key"}))
        answer = await control.update(it.seen("web").id, patch)
        assert answer.status.output == output(it) == {"url": "http://me:***@here", "***": "key"}
        assert "hunter2" not in repr(it.seen("web")), "nor is it kept"


def test_what_the_run_wrote_anew_no_longer_stands_as_posted() -> None:
    assert left_standing({"a": "1", "b": "", "c": "3"}, {"a": "2", "b": ""}) == {"c": "3"}
    assert left_standing({}, {"a": "2"}) == {}

"""`why` and `events`: what people read."""

from __future__ import annotations

import json
import os
import signal
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from runner_agent.cli.events import as_text as event_text
from runner_agent.cli.why import as_text
from tests.client.fake_agent import Message, Refusal, execution, service, task, uuid

if TYPE_CHECKING:
    from runner_agent.client.agent_messages import Explanation, TimelineEntry
    from tests.cli.conftest import Cli
    from tests.client.fake_agent import FakeAgent

NOW = datetime(2026, 1, 1, 12, 0, 10, tzinfo=UTC)

PROBING: Explanation = {
    "kind": "KIND_SERVICE",
    "id": uuid(1),
    "reference": "web",
    "phase": "STARTING",
    "phaseSince": "2026-01-01T12:00:00Z",
    "desiredPhase": "RUNNING",
    "wishedBy": "uid 1000",
    "wishedAt": "2026-01-01T12:00:00Z",
    "answer": "waiting for `ready` to exit 0: attempt 2 runs for 3 s",
    "reasons": ["it is given up in 9 s if it is not ready by then"],
    "runs": [{"role": "start", "runId": "r1", "state": "live", "pid": 42, "since": "2026-01-01T12:00:01Z"}],
    "lastProbe": {"attempts": 2, "ending": "ready exited with code 7", "lines": ["connection refused"]},
    "logs": [{"label": "start", "lines": ["listening soon"]}],
}

BUILD: Explanation = {
    "kind": "KIND_TASK",
    "id": uuid(2),
    "reference": "build",
    "executionId": uuid(3),
    "phase": "RUNNING",
    "phaseSince": "2026-01-01T12:00:00Z",
    "answer": 'waiting for step "deps": runs for 4 s',
    "waitsFor": ["deps"],
    "steps": [
        {"reference": "deps", "phase": "RUNNING", "text": "runs for 4 s", "sharedWith": [uuid(9)]},
        {"reference": "build", "text": "waits for deps", "waitsFor": ["deps"]},
    ],
}


def test_the_first_line_is_the_answer() -> None:
    first, *rest = as_text(PROBING, NOW).splitlines()
    assert first == ("service web is STARTING for 10s: waiting for `ready` to exit 0: attempt 2 runs for 3 s")
    assert rest[0] == "  - it is given up in 9 s if it is not ready by then"
    assert rest[1].startswith("Wished: RUNNING by uid 1000, 10s ago (")
    assert rest[2:] == [
        "Runs:",
        "  start  live      pid 42  since 9.0s  run r1",
        "Ready command: 2 attempts, the last finished one: ready exited with code 7; its last lines:",
        "  | connection refused",
        "Last lines of start's log:",
        "  | listening soon",
    ]


def test_the_steps_of_an_execution_and_who_shares_them() -> None:
    assert as_text(BUILD, NOW).splitlines() == [
        'task build is RUNNING for 10s: waiting for step "deps": runs for 4 s',
        f"Latest execution: {uuid(3)}",
        "Steps:",
        "  STEP    PHASE     WHY",
        "  deps    RUNNING   runs for 4 s (shared with execution 00000000)",
        "  build   -         waits for deps",
    ]


def test_what_was_never_started_has_no_phase() -> None:
    never: Explanation = {"kind": "KIND_TASK", "reference": "build", "answer": "it has never been started"}
    assert as_text(never, NOW) == "task build: it has never been started"


def test_why_by_reference_and_as_data(cli: Cli, fake: FakeAgent) -> None:
    fake.on["ExplainAutomation"] = lambda _: dict(PROBING)
    told = cli("why", "web")
    assert told.code == 0
    assert told.out.startswith("service web is STARTING for ")
    assert fake.asked[-1] == ("ExplainAutomation", {"reference": "web"})
    assert json.loads(cli("why", "web", "--json").out) == PROBING
    assert "answer: 'waiting for" in cli("why", "web", "-o", "yaml").out


def test_why_by_id_or_by_a_reference_that_looks_like_one(cli: Cli, fake: FakeAgent) -> None:
    def answer(message: Message) -> Message:
        if "id" in message:
            raise Refusal("not_found", "no such id", 404)
        return dict(BUILD)

    fake.on["ExplainAutomation"] = answer
    assert cli("why", uuid(3)).code == 0
    assert [asked for _, asked in fake.asked] == [{}, {"id": uuid(3)}, {"reference": uuid(3)}]


def test_why_of_nothing_names_what_there_is(cli: Cli, fake: FakeAgent) -> None:
    def answer(_: Message) -> Message:
        raise Refusal("not_found", "nothing", 404)

    fake.on["ExplainAutomation"] = answer
    fake.services, fake.tasks = [service(1, "web")], [task(2, "build")]
    told = cli("why", "wbe")
    assert (told.code, told.out) == (2, "")
    assert "Did you mean 'web'? There is: build, web." in told.err


ENTRY: TimelineEntry = {
    "at": "2026-01-01T12:00:00Z",
    "kind": "execution",
    "id": uuid(3),
    "reference": "build",
    "version": "1000000000001",
    "phase": "PENDING",
    "text": "created by manual",
    "cause": "uid 1000",
    "place": "1",
}


def test_a_task_that_ran_as_a_step_of_another(cli: Cli, fake: FakeAgent) -> None:
    """It has no execution of its own to be explained."""
    fake.tasks = [task(1, "install"), task(2, "build")]
    fake.executions = [execution(3, uuid(2), "RUNNING", steps={"install": "FAILED", "build": None})]
    fake.executions[0]["spec"]["plan"][0]["steps"][0]["task"] = {"id": uuid(1)}
    answer = "it has never been started by itself"
    fake.on["ExplainAutomation"] = lambda _: {
        "kind": "KIND_TASK",
        "id": uuid(1),
        "reference": "install",
        "answer": answer,
    }
    told = cli("why", "install")
    assert answer in told.out
    assert "install ran last as a step of build: `runner-agent why 00000000` tells of that." in told.err


def test_an_event_is_one_line() -> None:
    assert event_text(ENTRY).endswith("  execution build 00000000: created by manual, by uid 1000")
    firing: TimelineEntry = {"kind": "firing", "text": "prebuild fired"}
    assert event_text(firing).endswith("  firing: prebuild fired")


def test_what_happened_before(cli: Cli, fake: FakeAgent) -> None:
    fake.on["ListTimeline"] = lambda _: {"entries": [{**ENTRY, "place": "2", "text": "later"}, ENTRY]}
    told = cli("events", "build", "--no-follow", "--json")
    assert [json.loads(line)["text"] for line in told.out.splitlines()] == ["created by manual", "later"]
    assert fake.asked[-1][1]["filter"] == {"reference": "build", "id": ""}
    assert cli("events", "--no-follow", "--tail", "1").out.endswith("later, by uid 1000\n")


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_events_are_followed_until_ctrl_c(cli: Cli, fake: FakeAgent, flags: list[str]) -> None:
    """Each line is there when it happens, in a pipe too."""
    fake.on["ListTimeline"] = lambda _: {"entries": [ENTRY]}
    process = cli.spawn("events", "--tail", "1", *flags)
    try:
        assert process.stdout is not None
        assert "created by manual" in process.stdout.readline()
        assert fake.watched.acquire(timeout=60)
        fake.on["ListTimeline"] = lambda _: {"entries": [{**ENTRY, "place": "2", "text": "news"}, ENTRY]}
        fake.publish("TASK_EXECUTION", uuid(3))
        assert "news" in process.stdout.readline()
        os.kill(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors.strip()) == (130, "")
    finally:
        process.kill()
        process.wait()

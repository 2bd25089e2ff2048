"""What `prebuild` accepts, and the reports it leaves behind."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from runner_agent.cli.prebuild_reports import as_json, as_junit, as_table, plain

if TYPE_CHECKING:
    from runner_agent.client.agent_messages import Prebuild, PrebuildItem
    from tests.cli.conftest import Cli

NASTY = "\x1b[31mred\x1b[0m \x1b]0;title\x07<&>\"' \x00\x01\x0b\ufffe\ud800 ünï \U0001f680 ]]>"
CLEAN = "red <&>\"'  ünï \U0001f680 ]]>"


def item(
    reference: str, phase: str, *, kind: str = "task", event: str = "prebuild", required: bool = False
) -> PrebuildItem:
    """With a log, a message and a second of time."""
    return {
        "kind": kind,
        "event": event,
        "reference": reference,
        "phase": phase,
        "message": f"{reference} {NASTY}",
        "required": required,
        "beganAt": "2026-01-02T12:00:00Z",
        "endedAt": "2026-01-02T12:00:01.5Z",
        "executionIds": ["0199a000-0000-7000-8000-000000000001"],
        "logTail": ["one", NASTY],
    }


def a_prebuild(*items: PrebuildItem, code: int = 0) -> Prebuild:
    """That has ended with this code."""
    return {
        "id": "0199a000-0000-7000-8000-000000000002",
        "stage": "ended",
        "ending": "done",
        "exitCode": code,
        "beganAt": "2026-01-02T12:00:00Z",
        "endedAt": "2026-01-02T12:01:00Z",
        "timeLimit": 3600,
        "items": list(items),
        "failures": ["task bad is FAILED"] if code else [],
    }


EVERYTHING = (
    item("good", "SUCCEEDED", required=True),
    item("bad", "FAILED", required=True),
    item("warns", "FAILED"),
    item("never", "", required=True),
    item("db", "RUNNING", kind="service"),
    item("broken", "FAILED", kind="service"),
    item("tidy", "SUCCEEDED", event="beforeSnapshot"),
)


def test_junit_is_what_readers_take() -> None:
    """The shape of Jenkins' schema: allowed elements and attributes, numbers, no character XML refuses."""
    text = as_junit(a_prebuild(*EVERYTHING, code=1))
    root = ET.fromstring(text)  # refuses what is not XML
    allowed = {
        "testsuites": {"name", "tests", "failures", "errors", "time"},
        "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
        "testcase": {"classname", "name", "time"},
        "failure": {"message", "type"},
        "skipped": {"message"},
        "system-out": set[str](),
    }
    for element in root.iter():
        assert set(element.attrib) <= allowed[element.tag], element.tag
        for number in ("tests", "failures", "errors", "skipped", "time"):
            if number in element.attrib:
                assert float(element.attrib[number]) >= 0
    assert [suite.get("name") for suite in root] == ["prebuild", "beforeSnapshot"]
    assert (root.get("tests"), root.get("failures")) == ("7", "2")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", root[0].get("timestamp", ""))
    assert root[0][0].get("time") == "1.500"


def test_junit_fails_what_decides_the_exit_code_and_skips_what_only_warns() -> None:
    root = ET.fromstring(as_junit(a_prebuild(*EVERYTHING, code=1)))
    said = {
        case.get("name"): [child.tag for child in case if child.tag != "system-out"]
        for case in root.iter("testcase")
    }
    assert said == {
        "good": [],
        "bad": ["failure"],
        "warns": ["skipped"],
        "never": ["failure"],
        "db": [],
        "broken": ["skipped"],
        "tidy": [],
    }
    bad = next(case for case in root.iter("testcase") if case.get("name") == "bad")
    failure = bad.find("failure")
    assert failure is not None
    assert failure.get("message") == f"bad {CLEAN}"
    assert (failure.text or "").splitlines()[-2:] == ["one", CLEAN], "the last lines of its log"


def test_junit_tells_of_the_time_limit() -> None:
    """Exit code 3 is not green, even if nothing that must succeed has failed."""
    root = ET.fromstring(as_junit(a_prebuild(item("slow", "STOPPED"), code=3)))
    assert root.get("failures") == "1"
    assert [case.get("name") for case in root.iter("testcase")] == ["slow", "time limit"]


def test_json_has_every_field_and_every_character() -> None:
    told = json.loads(as_json(a_prebuild(*EVERYTHING, {"kind": "task"}, code=1)))
    assert (told["schema"], told["verdict"], told["exitCode"], told["seconds"]) == (1, "failed", 1, 60.0)
    assert len({tuple(one) for one in told["items"]}) == 1, "all items have the same fields"
    assert told["items"][0]["logTail"] == ["one", NASTY]
    assert told["items"][-1]["seconds"] is None


@pytest.mark.parametrize("code", [0, 1, 3, 130])
def test_reports_of_nothing(code: int) -> None:
    """No automation lists the events."""
    empty = a_prebuild(code=code)
    assert as_table(empty) == ""
    assert json.loads(as_json(empty))["items"] == []
    assert ET.fromstring(as_junit(empty)).get("failures") == ("1" if code == 3 else "0")


def test_plain_text_takes_unfinished_sequences() -> None:
    assert plain("a\x1b[") == "a["
    assert plain("\x1b]8;;http://x") == ""
    assert plain("tab\tline\n") == "tab\tline\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--timeout", "4m59s"), "5m to 2h"),
        (("--timeout", "2h1s"), "5m to 2h"),
        (("--timeout", "soon"), "soon"),
        (("--report", "html=x"), "junit=FILE"),
        (("--report", "junit="), "junit=FILE"),
        (("--report", "json=/no/such/place/x"), "/no/such/place"),
        (("--workspace", "/no/such/place"), "/no/such/place"),
        (("--nonsense",), "--nonsense"),
    ],
)
def test_usage_is_told_and_asks_no_agent(cli: Cli, arguments: tuple[str, ...], told: str) -> None:
    """Rule 6.5, interface: exit code 2."""
    answer = cli("prebuild", *arguments)
    assert answer.code == 2
    assert told in answer.err
    assert cli.fake.asked == []


def test_an_address_nobody_answers_at_is_exit_code_4(cli: Cli, scratch: Path) -> None:
    """Only a state directory without an agent is worked on alone."""
    answer = cli("prebuild", "--address", f"unix:{scratch / 'nobody'}")
    assert answer.code == 4

"""What a prebuild leaves behind for readers: a table for people, JSON for programs, JUnit XML for CI."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from runner_agent.cli.durations import show_seconds
from runner_agent.cli.tables import columns
from runner_agent.cli.words import NOTHING, moment

if TYPE_CHECKING:
    from runner_agent.client.agent_messages import Prebuild, PrebuildItem

SCHEMA = 1
"""Of the JSON report; grows when a field goes or changes its meaning."""
VERDICTS = {0: "succeeded", 1: "failed", 3: "timed out", 130: "cancelled"}
NOT_BEGUN = "NOT RUN"

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def seconds_of(thing: Prebuild | PrebuildItem) -> float | None:
    """How long it took, None where that is not known."""
    began, ended = moment(thing.get("beganAt")), moment(thing.get("endedAt"))
    return None if began is None or ended is None else max((ended - began).total_seconds(), 0.0)


def verdict(prebuild: Prebuild) -> str:
    """In a word or two."""
    return VERDICTS.get(prebuild.get("exitCode", 0), "ended")


def as_table(prebuild: Prebuild) -> str:
    """For people."""
    rows = [
        [
            item.get("kind", ""),
            item.get("reference", ""),
            item.get("event", ""),
            item.get("phase", "") or NOT_BEGUN,
            NOTHING if (took := seconds_of(item)) is None else show_seconds(took),
            "yes" if item.get("required") else NOTHING,
        ]
        for item in prebuild.get("items", [])
    ]
    if not rows:
        return ""
    return columns(["KIND", "REFERENCE", "EVENT", "PHASE", "TOOK", "MUST SUCCEED"], rows, phase=3)


def as_json(prebuild: Prebuild) -> str:
    """For programs: every field is there. docs/prebuild.md describes them."""
    told = {
        "schema": SCHEMA,
        "id": prebuild.get("id", ""),
        "verdict": verdict(prebuild),
        "exitCode": prebuild.get("exitCode", 0),
        "beganAt": prebuild.get("beganAt", ""),
        "endedAt": prebuild.get("endedAt", ""),
        "seconds": seconds_of(prebuild),
        "timeLimitSeconds": prebuild.get("timeLimit", 0),
        "failures": prebuild.get("failures", []),
        "warnings": prebuild.get("warnings", []),
        "items": [
            {
                "kind": item.get("kind", ""),
                "reference": item.get("reference", ""),
                "event": item.get("event", ""),
                "phase": item.get("phase", ""),
                "message": item.get("message", ""),
                "required": item.get("required", False),
                "seconds": seconds_of(item),
                "executionIds": item.get("executionIds", []),
                "logTail": item.get("logTail", []),
            }
            for item in prebuild.get("items", [])
        ],
    }
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def as_junit(prebuild: Prebuild) -> str:
    """One suite an event, one case a run of a task or a service. A failure here is one that decides the exit
    code: what went wrong and does not count is a skipped case that says so.
    """
    root = Element("testsuites", name="prebuild")
    for event in ("prebuild", "beforeSnapshot"):
        cases = [_case(item) for item in prebuild.get("items", []) if item.get("event") == event]
        if event == "prebuild" and prebuild.get("exitCode") == 3:
            cases.append(_out_of_time(prebuild))
        if cases:
            suite = SubElement(root, "testsuite", name=event)
            began = moment(prebuild.get("beganAt"))
            if began is not None:
                suite.set("timestamp", began.strftime("%Y-%m-%dT%H:%M:%S"))
            suite.extend(cases)
            _count(suite)
    _count(root)
    indent(root)
    text: str = tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _case(item: PrebuildItem) -> Element:
    kind, phase = item.get("kind", ""), item.get("phase", "")
    case = Element(
        "testcase",
        classname=f"{item.get('event', '')}.{kind}",
        name=plain(item.get("reference", "")),
        time=f"{seconds_of(item) or 0:.3f}",
    )
    tail = plain("\n".join(item.get("logTail", [])))
    went_well = phase == "SUCCEEDED" if kind == "task" else phase != "FAILED"
    if not went_well:
        message = plain(item.get("message", "")) or phase or "it did not run"
        if item.get("required"):
            failure = SubElement(case, "failure", message=message, type=phase or NOT_BEGUN)
            failure.text = "\n".join(part for part in (message, tail) if part)
        else:
            SubElement(case, "skipped", message=f"{phase or NOT_BEGUN}, which is a warning: {message}")
    if tail:
        SubElement(case, "system-out").text = tail
    return case


def _out_of_time(prebuild: Prebuild) -> Element:
    limit = show_seconds(prebuild.get("timeLimit", 0))
    case = Element("testcase", classname="prebuild", name="time limit", time="0.000")
    failure = SubElement(case, "failure", message=f"not done within {limit}", type="time limit")
    failure.text = "\n".join(plain(line) for line in prebuild.get("failures", []))
    return case


def _count(suite: Element) -> None:
    cases = list(suite.iter("testcase"))
    suite.set("tests", str(len(cases)))
    for attribute, tag in (("failures", "failure"), ("skipped", "skipped")):
        if attribute == "failures" or suite.tag == "testsuite":  # the outermost has no such attribute
            suite.set(attribute, str(sum(case.find(tag) is not None for case in cases)))
    suite.set("errors", "0")
    suite.set("time", f"{sum(float(case.get('time', '0')) for case in cases):.3f}")


def plain(text: str) -> str:
    """Without escape sequences of terminals and characters that XML cannot hold."""
    return _ILLEGAL.sub("", _ANSI.sub("", text))

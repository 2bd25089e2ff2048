"""Rule 1.3: on any message our verdict is that of protovalidate on the published descriptors."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner_agent.api.methods import METHODS
from runner_agent.api.rulebook import check
from runner_agent.api.schema import message_type, request_type, service
from runner_agent.model.errors import InvalidArgument
from tests.conformance.environments import PROTOVALIDATE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from google.protobuf.message import Message
    from hypothesis.strategies import DrawFn

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(300)]

UUID = "0199a000-0000-7000-8000-00000000000a"
TEXTS = st.sampled_from(
    [
        *("", UUID, UUID.upper(), UUID[:-1], f"{{{UUID}}}", UUID.replace("-", ""), UUID + "\n"),
        *("web", "a b", "web\n", "wéb", "a" * 128, "a" * 129, "x" * 4096, "x" * 4097, "ü" * 4096, "ü" * 128),
        *("manual", "postEnvironmentStart", "postDevcontainerStart", "prebuild", "Manual", "beforeSnapshot"),
        *("postMachineStart", "default", "editor", "ai-agent", "security-agent", " ", "\0"),
    ]
) | st.text(st.characters(codec="utf-8", exclude_characters='"'), max_size=4)
NUMBERS = st.sampled_from([-1, 0, 1, 25, 99, 100, 101, 2**31 - 1, -(2**31)])
ENUMS = st.integers(-1, 9) | st.just(77)
COUNTS = st.sampled_from([0, 0, 0, 1, 1, 2, 3, 25, 26])

ACCEPTED_TOO = (
    (re.compile(r"environment_id"), "string.uuid", {""}),
    (re.compile(r".*\.triggered_by\[\d+\]"), "string.in", {"postMachineStart", "beforeSnapshot"}),
)
"""Where we accept more than published: rule 1.1, an empty environment is ours, and rule 2.3, six triggers."""

REFUSED_ANYHOW = re.compile(r"resource_type_filters\[\d+\]\.resource_type")
"""Filters go with the organization scope, which no agent has: it knows only the types that it tells of."""

TYPES = sorted(
    {
        request_type(service(row.service).methods_by_name[row.name]).DESCRIPTOR.full_name
        for row in METHODS
        if row.service.startswith("gitpod.")
    }
    | {f"gitpod.v1.{name}" for name in ("Service", "Task", "TaskExecution", "StartTaskResponse")}
)

Broken = frozenset[tuple[str, str]]


@st.composite
def messages(draw: DrawFn, kind: str) -> Message:
    """Of one of our types, each field absent, plain or at the edge of its rule."""
    message: Any = message_type(kind)()
    fill(draw, message)
    return message  # type: ignore[no-any-return]


def fill(draw: DrawFn, message: Any) -> None:
    for field in message.DESCRIPTOR.fields:
        nested = field.message_type
        if nested is not None and nested.GetOptions().map_entry:
            fill_map(draw, getattr(message, field.name), nested)
        elif isinstance(field.default_value, list) or (nested is not None and not field.has_presence):
            fill_list(draw, getattr(message, field.name), field)
        elif not draw(st.booleans()):
            continue
        elif nested is not None:
            getattr(message, field.name).SetInParent()
            fill_one(draw, getattr(message, field.name))
        else:
            setattr(message, field.name, draw(scalar(field)))


def fill_one(draw: DrawFn, message: Any) -> None:
    match message.DESCRIPTOR.full_name:
        case "google.protobuf.Duration":
            message.seconds = draw(st.sampled_from([-1, 0, 1, 86399, 86400, 86401]))
            nanos = draw(st.sampled_from([0, 0, 1, 500_000_000]))
            message.nanos = -nanos if message.seconds < 0 else nanos
        case "google.protobuf.Timestamp":
            message.seconds = 1
        case _:
            fill(draw, message)


def fill_list(draw: DrawFn, items: Any, field: Any) -> None:
    count = draw(COUNTS)
    if field.message_type is None:
        drawn = [draw(scalar(field)) for _ in range(min(count, 3))]
        items.extend((drawn * count)[:count])
    else:
        for _ in range(min(count, 2)):
            fill_one(draw, items.add())


def fill_map(draw: DrawFn, entries: Any, nested: Any) -> None:
    value = nested.fields_by_name["value"]
    for key in draw(st.lists(TEXTS, max_size=2)):
        if value.message_type is None:
            entries[key] = draw(scalar(value))
        else:
            fill_one(draw, entries[key])


def scalar(field: Any) -> st.SearchStrategy[Any]:
    if field.enum_type is not None:
        return ENUMS
    match field.cpp_type:
        case field.CPPTYPE_STRING:
            return TEXTS
        case field.CPPTYPE_BOOL:
            return st.booleans()
        case field.CPPTYPE_UINT64 | field.CPPTYPE_UINT32:
            return st.integers(0, 3)
        case _:
            return NUMBERS


class Judge:
    """protovalidate in its own environment."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def broken(self, message: Message) -> Broken:
        """Path and rule of every violation."""
        line = f"{message.DESCRIPTOR.name} {base64.b64encode(message.SerializeToString()).decode()}\n"
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()
        told: list[tuple[str, str]] = json.loads(self._process.stdout.readline())
        return frozenset((path, common(rule)) for path, rule in told)


def common(rule: str) -> str:
    """One name for what both call a little differently."""
    if rule.rpartition(".")[2] in {"gte_lte", "gte", "lte"}:
        return "bounds"
    return "string.uuid" if rule == "string.uuid_empty" else rule


def our_verdict(message: Message) -> Broken:
    """The same of our table."""
    try:
        check(message)
    except InvalidArgument as error:
        return frozenset((one.path, common(rule_named(one.message))) for one in error.violations)
    return frozenset()


def rule_named(message: str) -> str:
    found = re.search(r"\(([a-z_]+(?:\.[a-z_]+)?)\)", message)
    assert found is not None, message
    return found[1]


@pytest.fixture(scope="session")
def judge(commands: dict[str, Future[tuple[str, ...]]]) -> Iterator[Judge]:
    """One process for all messages."""
    command = commands[PROTOVALIDATE.name].result()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Judge(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.rpartition(".")[2])
def test_our_verdict_is_protovalidates(judge: Judge, kind: str) -> None:
    """Every path and every rule, on messages that hover at the edges."""
    refused = 0

    @settings(
        max_examples=80,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        database=None,
    )
    @given(message=messages(kind))
    def compare(message: Message) -> None:
        nonlocal refused
        theirs, ours = judge.broken(message), our_verdict(message)
        more = {(path, rule) for path, rule in ours - theirs if not REFUSED_ANYHOW.fullmatch(path)}
        assert not more, "we refuse what is allowed"
        assert all(accepted_too(message, path, rule) for path, rule in theirs - ours), theirs - ours
        refused += bool(theirs)

    compare()
    assert refused, "no message broke a rule: the test tells nothing"


def accepted_too(message: Any, path: str, rule: str) -> bool:
    value: Any = message
    for step in re.finditer(r'(\w+)(?:\["([^"]*)"\]|\[(\d+)\])?', path):
        name, key, index = step.groups()
        value = getattr(value, name)
        value = value[key] if key is not None else value[int(index)] if index is not None else value
    return any(where.fullmatch(path) and rule == of and value in texts for where, of, texts in ACCEPTED_TOO)

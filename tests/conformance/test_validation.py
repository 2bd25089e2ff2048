"""Rule 1.3: on any message our verdict is that of protovalidate on the published descriptors."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings

from runner_agent.api.methods import METHODS
from runner_agent.api.rulebook import check
from runner_agent.api.schema import request_type, service
from runner_agent.model.errors import InvalidArgument
from tests.api.arbitrary import messages
from tests.conformance.environments import PROTOVALIDATE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from google.protobuf.message import Message

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(300)]

ACCEPTED_TOO = (
    (re.compile(r"environment_id"), "string.uuid", {""}),
    (re.compile(r"environment_id"), "required", {""}),
    (re.compile(r".*\.triggered_by\[\d+\]", re.DOTALL), "string.in", {"postMachineStart", "beforeSnapshot"}),
)
"""Where we accept more than published: rule 1.1, an empty environment is ours, and rule 2.3, six triggers."""

TYPES = sorted(
    {
        request_type(service(row.service).methods_by_name[row.name]).DESCRIPTOR.full_name
        for row in METHODS
        if row.service.startswith("gitpod.")
    }
    | {f"gitpod.v1.{name}" for name in ("Service", "Task", "TaskExecution", "StartTaskResponse")}
)

Broken = frozenset[tuple[str, str]]


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
        assert process.wait(60) == 0


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
        assert not ours - theirs, "we refuse what is allowed"
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

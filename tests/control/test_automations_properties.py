"""The file reader against anything at all: it reads or it raises FileErrors, and nothing else (rule 2.5)."""

import json
from typing import Any

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner_agent.control.automations import read_automations
from runner_agent.control.automations_keys import COMMANDS, DOCKER, RUNS_ON, SERVICE, TASK, TOP, snake
from runner_agent.control.file_errors import FileError, FileErrors
from runner_agent.model.phases import Trigger
from runner_agent.model.specs import AutomationsFile
from tests.control.scene import entries_of

FORMS = (TOP, SERVICE, TASK, COMMANDS, RUNS_ON, DOCKER)
KEYS = sorted({key for form in FORMS for key in (*form.keys, *form.meant, *map(snake, form.keys))})
WORDS = ["web", "build", "x", "90s", "5m", "", "editor", *[trigger.value for trigger in Trigger]]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.sampled_from(WORDS),
    st.text(max_size=8),
)
keys = st.one_of(st.sampled_from(KEYS), st.sampled_from(WORDS), st.text(max_size=5))
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=20,
)
commands = st.fixed_dictionaries({"start": scalars}, optional={"ready": scalars, "stop": scalars})
services = st.fixed_dictionaries(
    {"name": scalars, "commands": commands},
    optional={"triggeredBy": st.lists(scalars, max_size=3), "runsOn": anything, "readinessTimeout": scalars},
)
tasks = st.fixed_dictionaries(
    {"name": scalars, "command": scalars},
    optional={"dependsOn": st.lists(scalars, max_size=3), "extra": anything},
)
nearly = st.fixed_dictionaries(
    {},
    optional={
        "services": st.dictionaries(st.sampled_from(["web", "build", "db", ""]), services, max_size=3),
        "tasks": st.dictionaries(st.sampled_from(["web", "build", "x", "y"]), tasks, max_size=4),
    },
)


def read(name: str, data: bytes) -> AutomationsFile | FileErrors:
    try:
        return read_automations(name, data)
    except FileErrors as refusal:
        check(refusal.errors)
        return refusal


def check(errors: tuple[FileError, ...]) -> None:
    assert errors
    assert list(errors) == sorted(errors)
    for error in errors:
        assert error.message
        assert str(error).isprintable()
        assert error.line >= 1
        assert error.column >= 1


@settings(max_examples=150)
@given(st.binary(max_size=200))
@example(b'a: "\\ud800"')
@example(b'{"a": "\\ud800"}')
@example(b"? [a]\n: b")
@example(b"&a [*a, *b]")
@example(b"<<: [1]")
@example(b"\xef\xbb\xbf\xff")
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    read("f.yaml", data)
    read("f.json", data)
    read("-", data)


@settings(max_examples=150)
@given(st.text(alphabet=" \t\n:-?[]{},#&*!|>'\"%@`ab0~<=\\xu", max_size=60))
def test_any_punctuation_is_read_or_refused(text: str) -> None:
    read("f.yaml", text.encode())
    read("f.json", text.encode())


@settings(max_examples=150)
@given(anything | nearly)
def test_any_document_is_read_or_refused_and_json_and_yaml_agree(document: Any) -> None:
    as_json = read("f", json.dumps(document).encode())
    as_yaml = read("f", yaml.safe_dump(document, sort_keys=False, allow_unicode=True).encode())
    if isinstance(as_json, AutomationsFile):
        assert as_yaml == as_json
    else:
        assert isinstance(as_yaml, FileErrors)


@settings(max_examples=150)
@given(nearly)
def test_what_is_read_keeps_the_rules(document: Any) -> None:
    """Rules 1.2, 2.2, 2.3, 2.6, of whatever was accepted."""
    file = read("f", json.dumps(document).encode())
    if isinstance(file, FileErrors):
        return
    references = [entry.reference for entry in entries_of(file)]
    assert len(references) == len(set(references))
    assert all(entry.name for entry in entries_of(file))
    assert all(service.launch.commands.start for service in file.services)
    assert all(task.spec.command for task in file.tasks)
    assert not any(Trigger.BEFORE_SNAPSHOT in service.triggered_by for service in file.services)
    assert all(set(task.depends_on) <= set(references) for task in file.tasks)

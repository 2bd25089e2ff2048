"""The file reader against anything at all: it reads or it raises FileErrors, and nothing else (rule 2.5)."""

import json
import re
import time
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner_agent.cli.file_messages import as_message
from runner_agent.control.automations import check_automations, read_automations
from runner_agent.control.automations_keys import COMMANDS, DOCKER, RUNS_ON, SERVICE, TASK, TOP, snake
from runner_agent.control.file_errors import FileError, FileErrors
from runner_agent.model.phases import Trigger
from runner_agent.model.specs import AutomationsFile
from tests.control.scene import entries_of

FORMS = (TOP, SERVICE, TASK, COMMANDS, RUNS_ON, DOCKER)
KEYS = sorted(
    {key for form in FORMS for key in (*form.names, *form.meant, *form.remarks, *map(snake, form.names))}
)
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
        file, warnings = check_automations(name, data)
        assert read_automations(name, data) == file
        places(data, [(warning.line, warning.column) for warning in warnings])
        return file
    except FileErrors as refusal:
        check(refusal.errors)
        places(data, [(error.line, error.column) for error in refusal.errors])
        return refusal


def in_yaml(document: Any, *, flow: bool = False) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, default_flow_style=flow)  # pyright: ignore[reportUnknownMemberType]


def check(errors: tuple[FileError, ...]) -> None:
    assert errors
    assert list(errors) == sorted(errors)
    for error in errors:
        assert error.message
        assert str(error).isprintable()
        assert error.line >= 1
        assert error.column >= 1


def places(data: bytes, found: list[tuple[int, int]]) -> None:
    """Every place lies in the file, or right behind the end of a line, by whichever notion of a line: of
    editors, or of YAML, which knows four more ways to end one.
    """
    text = data.decode("utf-8-sig", "replace")
    notions = [[*re.split(ends, text), ""] for ends in ("\n", "\r\n|[\r\n\x85\u2028\u2029]")]
    for line, column in found:
        assert any(
            1 <= line <= len(lines) and 1 <= column <= len(lines[line - 1]) + 1 for lines in notions
        ), (line, column, text)


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
    as_yaml = read("f", in_yaml(document).encode())
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


characters = st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])
names = st.text(characters, min_size=1, max_size=12)
scripts = st.text(characters | st.sampled_from("\n\t&#"), min_size=1, max_size=30)
references = st.text("abcXYZ019_-", min_size=1, max_size=10)
places_to_run = st.sampled_from(
    [{}, {"machine": {}}, {"docker": {"image": "i", "environment": ["A=b", "C"]}}]
)


@st.composite
def files(draw: st.DrawFn) -> Any:
    """Valid documents, with acyclic dependencies."""
    known: list[str] = draw(st.lists(references, unique=True, max_size=6))
    file: dict[str, Any] = {"services": {}, "tasks": {}}
    for at, reference in enumerate(known):
        entry: dict[str, Any] = {
            "name": draw(names),
            "description": draw(scripts),
            "runsOn": draw(places_to_run),
        }
        if draw(st.booleans()):
            entry["commands"] = {"start": draw(scripts), "ready": draw(scripts), "stop": draw(scripts)}
            entry["readinessTimeout"] = draw(st.sampled_from(["0s", "1.5s", "5m", "1h30m"]))
            file["services"][reference] = entry
        else:
            entry["command"] = draw(scripts)
            entry["dependsOn"] = draw(st.lists(st.sampled_from(known[:at]), unique=True)) if at else []
            entry["triggeredBy"] = draw(
                st.lists(st.sampled_from([one.value for one in Trigger]), unique=True)
            )
            file["tasks"][reference] = entry
    return file


@settings(max_examples=60)
@given(files())
def test_what_a_file_says_is_what_is_read_whichever_way_it_is_written(document: Any) -> None:
    """Round trip: JSON and YAML, block and flow style, and the message made for the API."""
    file = read("f.json", json.dumps(document).encode())
    assert isinstance(file, AutomationsFile)
    for flow in (True, False):
        assert read("f.yaml", in_yaml(document, flow=flow).encode()) == file
    assert read("f.json", json.dumps(as_message(file)).encode()) == file
    said = {one.reference: one.description for one in entries_of(file)}
    assert said == {key: one["description"] for part in document.values() for key, one in part.items()}


def test_a_thousand_entries_cost_little() -> None:
    """Processor time, so that a busy machine is no defect; well under a second at rest."""
    entry = "name: N\n    command: |\n      npm ci\n      npm run build & wait\n    triggeredBy: [prebuild]\n"
    tasks = "".join(f"  t{at}:\n    {entry}" for at in range(1_000))
    began = time.process_time()
    file, warnings = check_automations("f.yaml", f"tasks:\n{tasks}".encode())
    assert time.process_time() - began < 2
    assert (len(file.tasks), len(warnings)) == (1_000, 0)


@pytest.mark.heavy
def test_many_keys_and_many_faults_cost_little() -> None:
    """65,536 unknown keys: each is told, and only some are guessed at."""
    text = "{" + ",".join(f'"k{at}": 1' for at in range(65_536)) + "}"
    began = time.process_time()
    with pytest.raises(FileErrors) as caught:
        read_automations("f.json", text.encode())
    assert len(caught.value.errors) == 65_536
    assert time.process_time() - began < 10

"""Files in the style of real repositories: what is said of each; and the JSON schema agrees (rule 2.5)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml

from runner_agent.control.automations import read_automations
from runner_agent.control.automations_json_schema import json_schema
from runner_agent.control.automations_starter import STARTER
from runner_agent.control.file_errors import FileErrors
from runner_agent.control.lints import RULES
from tests.control.corpus import FILES, expected, verdict

if TYPE_CHECKING:
    from pathlib import Path

ONLY_THE_READER = (
    "duplicate key",
    "unknown reference",
    "depends on itself",
    "go in a circle",
    "references are unique",
    "expected 0s to 86400s",
    "as key, found",
)
"""What no schema can tell."""
VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def test_the_schema_is_one() -> None:
    VALIDATOR.check_schema(VALIDATOR.schema)
    assert json_schema()["additionalProperties"] is False


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_rule_2_5_verdict(path: Path) -> None:
    assert verdict(path) == expected(path)


def test_the_corpus_shows_every_warning_and_both_kinds() -> None:
    verdicts = {path.name: expected(path) for path in FILES}
    told = {line.rpartition(" ")[2] for lines in verdicts.values() for line in lines if line[0] == "w"}
    assert told == RULES.keys()
    refused = [name for name, lines in verdicts.items() if lines[0].startswith("error")]
    assert sorted(refused) == sorted(name for name in verdicts if name.startswith("bad-"))
    assert len(refused) >= 20
    assert len(verdicts) - len(refused) >= 25


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_schema_agrees_where_it_can_tell(path: Path) -> None:
    lines = expected(path)
    errors = [line for line in lines if line.startswith("error")]
    if any("not YAML" in line or "not JSON" in line or "not UTF-8" in line for line in errors):
        with pytest.raises((yaml.YAMLError, ValueError)):
            document(path)
        return
    tellable = [line for line in errors if not any(words in line for words in ONLY_THE_READER)]
    assert accepted(document(path)) is (not tellable), tellable


def test_the_starter_is_valid_and_bites_nobody(tmp_path: Path) -> None:
    path = tmp_path / "automations.yaml"
    path.write_text(STARTER)
    assert verdict(path) == ["valid"]
    assert accepted(document(path))


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("", True),
        ("services: null", True),
        ("tasks: {t: {name: T, command: x, dependsOn: null, triggered_by: [prebuild]}}", True),
        ("tasks: {t: {name: null, command: x}}", False),
        ("tasks: {t: {name: T, command: x, triggeredBy: [beforeSnapshot]}}", True),
        ("services: {t: {name: T, commands: {start: x}, triggeredBy: [beforeSnapshot]}}", False),
        ("services: {t: {name: T, commands: {start: x}, role: ''}}", True),
        ("services: {t: {name: T, commands: {start: x}, role: security-agent}}", False),
        ("services: {t: {name: T, commands: {start: x}, runsOn: {machine: null}}}", False),
        ("services: {t: {name: T, commands: {start: x}, runsOn: {}}}", True),
        ("services: {t: {name: T, commands: null}}", False),
        ("services: {t: {name: T, commands: {start: x}, readinessTimeout: ''}}", False),
        ("services: {t: {name: T, commands: {start: x}, readiness_timeout: 1h0.5s}}", True),
    ],
)
def test_schema_and_reader_agree_at_the_edges(text: str, valid: bool) -> None:
    try:
        read_automations("f.yaml", text.encode())
        read = True
    except FileErrors:
        read = False
    assert (read, accepted(yaml.safe_load(text))) == (valid, valid)


def document(path: Path) -> Any:
    text = path.read_bytes().decode("utf-8")
    if path.suffix == ".json":
        return json.loads(text)
    return json.loads(json.dumps(yaml.safe_load(text), default=lambda _date: 0))


def accepted(document: Any) -> bool:
    return VALIDATOR.is_valid(document)  # pyright: ignore[reportUnknownMemberType]

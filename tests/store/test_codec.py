"""Records to JSON and back: any value of any type, compatible with older rows, strict with all else."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from typing import Any, NewType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner_agent.model.phases import ServicePhase
from runner_agent.model.records import (
    Execution,
    Firing,
    Record,
    Service,
    ServiceStatus,
    Step,
    Task,
)
from runner_agent.model.specs import EnvVar, SecretRef
from runner_agent.store.codec import decoder, encoder
from runner_agent.store.layout import ROW_FIELDS, RUN_FIELDS, VERSION_FIELDS, WISH_FIELDS
from runner_agent.store.scalars import Unreadable
from tests.support.records import NOON, a_running_service, a_service, values

TYPES: tuple[type[Record], ...] = (Service, Task, Execution, Step, Firing)

Name = NewType("Name", str)
Other = NewType("Other", str)


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Dot:
    x: int


@dataclass(frozen=True, slots=True)
class Line:
    ends: tuple[Dot, Dot]
    names: tuple[Name | Other, ...] = ()


@dataclass(frozen=True, slots=True)
class Everything:
    shape: Dot | Line | None
    colour: Colour = Colour.RED
    when: datetime | None = None
    length: float = 1.0
    flag: bool = False
    notes: Mapping[str, str | int] = field(default_factory=dict[str, str | int])
    pair: tuple[Name, Mapping[str, str]] | None = None


@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("kind", [*TYPES, Everything])
@given(data=st.data())
def test_every_value_comes_back(kind: type[Any], data: st.DataObject) -> None:
    value = data.draw(values(kind))
    text = encoder(kind)(value)
    assert text.isascii()
    assert decoder(kind)(text) == value


@settings(max_examples=20, deadline=None)
@given(service=values(Service))
def test_halves_come_back_as_one(service: Service) -> None:
    kind = service.key.kind
    wish = encoder(Service, WISH_FIELDS[kind])(service)
    run = encoder(Service, RUN_FIELDS[kind])(service)
    versions = {name: getattr(service, name) for name in VERSION_FIELDS}
    assert decoder(Service)(wish, run, **versions) == service


@pytest.mark.parametrize("kind", TYPES)
def test_the_layout_knows_every_field(kind: type[Any]) -> None:
    table = {Service: "service", Task: "task", Execution: "execution", Step: "step", Firing: "firing"}[kind]
    key = next(key for key in WISH_FIELDS if key.value == table)
    known = [*WISH_FIELDS[key], *RUN_FIELDS[key], *ROW_FIELDS.get(key, ()), *VERSION_FIELDS]
    assert sorted(known) == sorted(kind.__dataclass_fields__)


def test_defaults_are_not_written_and_read_back() -> None:
    data = json.loads(encoder(Service)(a_service()))
    assert set(data) == {"id", "metadata", "spec", "cause"}
    assert encoder(ServiceStatus)(ServiceStatus()) == "{}"
    assert decoder(ServiceStatus)("{}") == ServiceStatus()


def test_only_what_needs_it_is_tagged() -> None:
    shape = encoder(Everything)(Everything(Line((Dot(1), Dot(2)), (Name("a"),))))
    assert json.loads(shape) == {"shape": {"t": "Line", "ends": [{"x": 1}, {"x": 2}], "names": ["a"]}}
    assert json.loads(encoder(EnvVar)(EnvVar("A", SecretRef("s")))) == {"name": "A", "value": {"id": "s"}}


def test_times_are_kept_in_utc() -> None:
    east = datetime(2026, 1, 2, 14, 0, tzinfo=timezone(timedelta(hours=2)))
    read = decoder(Everything)(encoder(Everything)(Everything(None, when=east)))
    assert read.when == NOON
    assert read.when is not None
    assert read.when.tzinfo is UTC


def test_what_a_client_sent_is_kept_even_if_it_is_no_text() -> None:
    odd = ServiceStatus(failure_message="\ud800\x00\U0001f600", output={"\udfff": "\x00"})
    assert decoder(ServiceStatus)(encoder(ServiceStatus)(odd)) == odd


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"shape": null, "size": 3}', 'Everything has no field "size" in this version'),
        (
            '{"shape": {"t": "Circle", "r": 1}}',
            'shape: "Circle" is not known to this version; one of Dot, Line is',
        ),
        ('{"shape": {"x": 1}}', 'shape: "None" is not known'),
        ('{"shape": {"t": "Dot", "x": "1"}}', "shape.x: '1' is no int"),
        ('{"shape": {"t": "Dot", "x": true}}', "shape.x: True is no int"),
        ('{"shape": {"t": "Dot"}}', "shape: Dot is not whole"),
        ('{"shape": [1]}', "shape: [1] is none of"),
        ('{"shape": null, "colour": "blue"}', "colour: 'blue' is no Colour known"),
        ('{"shape": null, "when": "2026-01-02T12:00:00"}', "when: '2026-01-02T12:00:00' is no time in UTC"),
        ('{"shape": null, "when": "yesterday"}', "when: 'yesterday' is no time"),
        ('{"shape": null, "length": NaN}', "length: nan is no finite number"),
        ('{"shape": null, "pair": ["a"]}', "pair: ['a'] has not 2 parts"),
        ('{"shape": null, "notes": {"a": []}}', "notes: [] is none of str, int"),
        ("{}", "Everything is not whole: "),
        ("[]", "[] is no Everything"),
        ("{", "no JSON: "),
    ],
)
def test_what_cannot_be_read_is_named(text: str, said: str) -> None:
    with pytest.raises(Unreadable) as caught:
        decoder(Everything)(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"shape": 3},
        {"shape": None, "length": float("nan")},
        {"shape": None, "flag": 1.5},
        {"shape": None, "when": datetime(2026, 1, 2)},  # noqa: DTZ001 - without a zone is what is wrong with it
        {"shape": None, "colour": "red"},
        {"shape": Dot(x=True)},
        {"shape": Line((Dot(1),), ())},  # type: ignore[arg-type]
    ],
)
def test_what_could_not_be_read_again_is_not_written(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="cannot be stored"):
        encoder(Everything)(Everything(**wrong))


def test_a_type_without_json_is_refused_when_it_is_met() -> None:
    with pytest.raises(TypeError, match="knows no JSON"):
        encoder(dataclass(type("Odd", (), {"__annotations__": {"what": bytes}})))
    with pytest.raises(TypeError, match="look alike"):
        encoder(dataclass(type("Odd", (), {"__annotations__": {"what": str | datetime}})))
    with pytest.raises(TypeError, match="tag"):
        encoder(dataclass(type("Odd", (), {"__annotations__": {"t": str}})))


def test_names_on_disk() -> None:
    """What released versions have written; a change here needs a step in `schema`."""
    assert json.loads(encoder(Service)(a_running_service()))["run"]["start"] == {
        "t": "Live",
        "run_id": "run-1",
        "at": 12.5,
        "handle": {
            "executor": "machine",
            "run_id": "run-1",
            "data": {"holder": 4711, "start_time": 123456, "directory": "/run/x"},
        },
    }
    assert json.loads(encoder(ServiceStatus)(ServiceStatus(ServicePhase.FAILED))) == {"phase": "FAILED"}

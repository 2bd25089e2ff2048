"""Answers in JSON without a message in between: as json_format has them, and made once for each record."""

import json
from dataclasses import replace
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from runner_agent.api import pieces
from runner_agent.api.methods import METHODS
from runner_agent.api.pieces import Composed, Shown
from runner_agent.api.schema import message_type, service
from runner_agent.api.tree_json import to_json
from runner_agent.api.wire_out import Outward, Tree
from runner_agent.model.records import Execution, Service
from tests.api.arbitrary import messages
from tests.api.world import ENVIRONMENT, LOG_ROOT, World

ANSWERS = sorted({service(row.service).methods_by_name[row.name].output_type.full_name for row in METHODS})
PLAIN = st.text(max_size=4) | st.sampled_from(["web", "ü" * 5, '"\\\n', "\0"])


def tree_of(message: Any) -> Tree:
    """As a handler would give it, which names what is empty too."""
    tree: Tree = {}
    for field in message.DESCRIPTOR.fields:
        nested, value = field.message_type, getattr(message, field.name)
        if nested is not None and nested.GetOptions().map_entry:
            whole = nested.fields_by_name["value"].message_type is not None
            tree[field.name] = {key: tree_of(each) if whole else each for key, each in value.items()}
        elif isinstance(field.default_value, list) or (nested is not None and not field.has_presence):
            tree[field.name] = [each if nested is None else tree_of(each) for each in value]
        elif field.has_presence and not message.HasField(field.name):
            tree[field.name] = None
        else:
            tree[field.name] = value if nested is None else tree_of(value)
    return tree


@given(st.data())
def test_a_tree_is_told_as_json_format_tells_the_message(data: st.DataObject) -> None:
    """Of every answer of every method, each field absent, plain or odd."""
    kind = data.draw(st.sampled_from(ANSWERS))
    message: Message = data.draw(messages(kind, PLAIN))
    composed = Composed(message_type(kind), tree_of(message))
    assert composed.message() == message
    assert json.loads(composed.json()) == json_format.MessageToDict(message)


def test_names_of_enums_and_odd_numbers() -> None:
    kind: Any = message_type("runner_agent.v1.StartPrebuildRequest")
    for number, text in ((float("inf"), "Infinity"), (-float("inf"), "-Infinity"), (float("nan"), "NaN")):
        told = to_json(kind.DESCRIPTOR, {"time_limit": number})
        assert told == json_format.MessageToDict(kind(time_limit=number)) == {"timeLimit": text}
    change: Any = message_type("gitpod.v1.ServiceMetadata")
    for role in ("SERVICE_ROLE_UNSPECIFIED", "SERVICE_ROLE_EDITOR", 0, 2):
        assert to_json(change.DESCRIPTOR, {"role": role}) == json_format.MessageToDict(change(role=role))


async def some_service(world: World, reference: str = "web") -> Service:
    answer = await world.call(
        "CreateService",
        {
            "environmentId": ENVIRONMENT,
            "metadata": {"reference": reference, "name": reference},
            "spec": {"commands": {"start": "true"}},
        },
    )
    found = world.store.get(Service, answer["service"]["id"])
    assert found is not None
    return found


async def test_what_tells_of_a_record_is_made_once_and_anew_when_the_record_is_another(world: World) -> None:
    shown, record = Shown(Outward(ENVIRONMENT, LOG_ROOT)), await some_service(world)
    piece = shown.service(record)
    assert shown.service(record) is piece
    assert piece.json() is piece.json()
    named = replace(record, metadata=replace(record.metadata, name="Another"))
    assert json.loads(shown.service(named).json())["metadata"]["name"] == "Another"
    assert json.loads(shown.service(record).json())["metadata"]["name"] == "web"


async def test_an_answer_shows_a_change_at_once(world: World) -> None:
    id_ = (await some_service(world)).id
    for number in range(3):
        await world.call("UpdateService", {"id": id_, "metadata": {"name": f"n{number}"}})
        assert (await world.call("GetService", {"id": id_}))["service"]["metadata"]["name"] == f"n{number}"
        listed = (await world.call("ListServices"))["services"]
        assert [one["metadata"]["name"] for one in listed] == [f"n{number}"]


async def test_pieces_do_not_pile_up(world: World, monkeypatch: Any) -> None:
    """The one that nobody asked for longest goes first."""
    monkeypatch.setattr(pieces, "MOST", 3)
    shown = Shown(Outward(ENVIRONMENT, LOG_ROOT))
    records = [await some_service(world, f"s{number}") for number in range(4)]
    first, second, third = (shown.service(record) for record in records[:3])
    assert shown.service(records[0]) is first
    shown.service(records[3])
    assert (shown.service(records[0]), shown.service(records[2])) == (first, third)
    assert shown.service(records[1]) is not second


async def test_a_large_plan_takes_the_room_of_many(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr(pieces, "MOST", 3)
    shown = Shown(Outward(ENVIRONMENT, LOG_ROOT))
    answer = await world.call(
        "CreateTask",
        {
            "environmentId": ENVIRONMENT,
            "metadata": {"reference": "t", "name": "t"},
            "spec": {"command": "true"},
        },
    )
    started = await world.call("StartTask", {"id": answer["task"]["id"]})
    execution = world.store.get(Execution, started["taskExecution"]["id"])
    assert execution is not None
    kept = shown.execution(execution)
    assert shown.execution(execution) is kept
    for number in range(2):
        shown.service(await some_service(world, f"s{number}"))
    assert shown.execution(execution) is not kept

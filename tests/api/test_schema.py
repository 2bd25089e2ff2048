"""Rules 1.2 and 1.3: our schema is the published one, name by name, number by number, rule by rule."""

from collections.abc import Iterator
from typing import Any

import pytest

from runner_agent.api import schema
from runner_agent.api.methods import METHODS, Read, Watch, Write
from runner_agent.core.rules import RULES
from runner_agent.core.validate import Field
from tests.api import published
from tests.api.published import Line

OURS = {
    "gitpod.v1.CreateServiceRequest.environment_id": "rule 1.1: empty means ours",
    "gitpod.v1.CreateTaskRequest.environment_id": "rule 1.1: empty means ours",
    "gitpod.v1.UpsertAutomationsFileRequest.environment_id": "rule 1.1: empty means ours",
    "gitpod.v1.GetEnvironmentRequest.environment_id": "rule 1.1: empty means ours",
    "gitpod.v1.CreateEnvironmentLogsTokenRequest.environment_id": "rule 1.1: empty means ours",
    "gitpod.v1.AutomationsFile.Service.triggered_by": "rule 2.3: six triggers",
    "gitpod.v1.AutomationsFile.Task.triggered_by": "rule 2.3: six triggers",
}
"""Where we accept more than published, and why."""

UUID = "0199a000-0000-7000-8000-000000000001"
TYPES = {1: "double", 3: "int64", 4: "uint64", 5: "int32", 8: "bool", 9: "string", 12: "bytes", 13: "uint32"}

FIELDS = [line for line in published.FIELDS if line.type]
VALUES = [line for line in published.FIELDS if not line.type]


def our_messages() -> Iterator[Any]:
    """All message types of our gitpod.v1, nested ones included."""
    anchors = ("Service", "PaginationRequest", "Subject", "WatchEventsRequest", "Environment")
    for anchor in anchors:
        file: Any = schema.message_type(f"gitpod.v1.{anchor}").DESCRIPTOR.file
        for message in file.message_types_by_name.values():
            yield from with_nested(message)


def with_nested(message: Any) -> Iterator[Any]:
    if not message.GetOptions().map_entry:
        yield message
        for nested in message.nested_types:
            yield from with_nested(nested)


def type_of(field: Any) -> str:
    nested = field.message_type
    if nested is not None and nested.GetOptions().map_entry:
        key, value = nested.fields_by_name["key"], nested.fields_by_name["value"]
        return f"map<{plain_type(key)},{plain_type(value)}>"
    oneof = field.containing_oneof
    if oneof is not None and not oneof.name.startswith("_"):
        return f"{plain_type(field)} oneof:{oneof.name}"
    if oneof is not None and nested is None:
        return f"{plain_type(field)} optional"
    repeated = not field.has_presence and (nested is not None or has_many(field))
    return f"repeated {plain_type(field)}" if repeated else plain_type(field)


def has_many(field: Any) -> bool:
    return isinstance(field.default_value, list)


def plain_type(field: Any) -> str:
    if field.message_type is not None:
        return str(field.message_type.full_name)
    return str(field.enum_type.full_name) if field.enum_type is not None else TYPES[field.type]


def test_every_field_is_the_published_one() -> None:
    ours = {
        (message.full_name, field.name, field.number, type_of(field))
        for message in our_messages()
        for field in message.fields
    }
    theirs = {(line.owner, line.name, line.number, line.type) for line in FIELDS}
    assert ours - theirs == set()
    assert theirs - ours == set()


def test_every_enum_value_is_the_published_one() -> None:
    owners = {line.owner for line in VALUES}
    ours = {(owner, name, number) for owner in owners for name, number in schema.enum_numbers(owner).items()}
    assert ours == {(line.owner, line.name, line.number) for line in VALUES}


def test_every_published_method_is_served() -> None:
    told: set[tuple[str, str, str]] = set()
    for row in METHODS:
        method: Any = schema.service(row.service).methods_by_name[row.name]
        stream = "stream " if method.server_streaming else ""
        read = " read" if method.GetOptions().idempotency_level == 1 else ""
        signature = f"{method.input_type.full_name} -> {stream}{method.output_type.full_name}{read}"
        told.add((row.service, row.name, signature))
    assert {tuple(line) for line in published.METHODS} == {
        line for line in told if line[0].startswith("gitpod.v1.")
    }


@pytest.mark.parametrize("row", METHODS, ids=lambda row: str(row.name))
def test_a_row_does_what_the_schema_says(row: Read | Write | Watch) -> None:
    method: Any = schema.service(row.service).methods_by_name[row.name]
    reads = method.GetOptions().idempotency_level == 1
    assert (isinstance(row, Watch), isinstance(row, Read)) == (method.server_streaming, reads)


def test_every_method_of_the_schema_has_one_row() -> None:
    services = {row.service for row in METHODS}
    described = {(name, method) for name in services for method in schema.service(name).methods_by_name}
    assert sorted(described) == sorted((row.service, row.name) for row in METHODS)


# ---------------------------------------------------------------- rules


def our_field(line: Line) -> Field | None:
    fields = RULES[line.owner].fields if line.owner in RULES else ()
    return next((field for field in fields if field.name == line.name), None)


def samples(rule: str) -> tuple[str, list[object], list[object]]:
    """The id of a rule as published, values it accepts, values it refuses."""
    name, _, argument = rule.partition("=")
    match name:
        case "uuid":
            return "string.uuid", [UUID], ["x"]
        case "pattern":
            return "string.pattern", ["a", "A-_9" * 32], ["", "a b", "a" * 129, "a\n"]
        case "min_len":
            return "string.min_len", ["x" * int(argument)], ["x" * (int(argument) - 1)]
        case "max_len":
            return "string.max_len", ["x" * int(argument)], ["x" * (int(argument) + 1)]
        case "in":
            return "string.in", [text.strip('"') for text in argument.split(",")], ["nope"]
        case "not_in":
            return "enum.not_in", [1], [int(argument)]
        case "defined_only":
            return "enum.defined_only", [1], [999]
        case "gte":
            return "gte", [int(argument)], [int(argument) - 1]
        case "lte":
            return "lte", [int(argument)], [int(argument) + 1]
        case "max_items":
            return "repeated.max_items", [["x"] * int(argument)], [["x"] * (int(argument) + 1)]
        case _:
            raise AssertionError(rule)


RULED = [(line, rule) for line in FIELDS for rule in line.rules if f"{line.owner}.{line.name}" not in OURS]


@pytest.mark.parametrize(("line", "rule"), RULED, ids=lambda one: one if isinstance(one, str) else one[1])
def test_every_published_rule_holds(line: Line, rule: str) -> None:
    field = our_field(line)
    assert field is not None
    if rule == "required":
        assert field.required
        return
    if rule == "or_empty":
        assert all(one.holds("") for one in field.rules)
        return
    where, _, what = (
        rule.rpartition(".") if rule.startswith(("items.", "keys.", "values.")) else ("", "", rule)
    )
    chosen = {"": field.rules, "items": field.items, "values": field.items, "keys": field.keys}[where]
    id_, good, bad = samples(what)
    (ours,) = [one for one in chosen if one.id == id_]
    assert [value for value in good if not ours.holds(value)] == []
    assert [value for value in bad if ours.holds(value)] == []


def test_we_have_no_rules_of_our_own_on_what_is_published() -> None:
    ours = {
        f"{owner}.{field.name}": len(field.rules) + len(field.keys) + len(field.items) + field.required
        for owner, message in RULES.items()
        if owner.startswith("gitpod.v1.")
        for field in message.fields
    }
    theirs = {f"{line.owner}.{line.name}": len([r for r in line.rules if r != "or_empty"]) for line in FIELDS}
    assert {name for name, count in ours.items() if theirs[name] != count} == set()


def test_where_we_accept_more_the_published_still_passes() -> None:
    for line in FIELDS:
        if f"{line.owner}.{line.name}" in OURS:
            field = our_field(line)
            assert field is not None
            (rule,) = [rule for rule in line.rules if rule != "required"]  # of a text: not empty
            _, good, bad = samples(rule.removeprefix("items."))
            assert all(one.holds(value) for one in (*field.rules, *field.items) for value in good)
            assert not any(one.holds(value) for one in (*field.rules, *field.items) for value in bad if value)


def test_the_schema_lives_in_a_pool_of_its_own() -> None:
    """A program may import the official SDK beside us: one pool refuses two descriptions of one file."""
    from google.protobuf import descriptor_pool

    with pytest.raises(KeyError):
        descriptor_pool.Default().FindFileByName("gitpod/v1/environment_automation.proto")

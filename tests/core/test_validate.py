"""Rule 1.3: every kind of rule, what it accepts and refuses, and that the message names field and rule."""

from collections.abc import Mapping
from typing import cast

import pytest

from runner_agent.core import validate as v
from runner_agent.core.rules import RULES
from runner_agent.model.errors import Violation

UUID = "0199a000-0000-7000-8000-00000000000A"


def read(message: object, name: str, *, presence: bool) -> object | None:
    """Messages as plain dicts: the checker must not care."""
    return cast(Mapping[str, object], message).get(name)


def violations(field: v.Field, value: object) -> tuple[Violation, ...]:
    return v.Validator({"M": v.Message((field,))}, read).violations("M", {field.name: value})


KINDS: list[tuple[v.Rule, list[object], list[object]]] = [
    (v.uuid(), [UUID, UUID.lower()], ["", "x", UUID + "\n", UUID[:-1], f"{{{UUID}}}", UUID.replace("-", "")]),
    (v.pattern("^[a-z]{1,3}$"), ["a", "abc"], ["", "abcd", "A", "a\n", "a b"]),
    (v.min_len(1), ["a", " ", "\0"], [""]),
    (v.min_len(3), ["abc", "äöü"], ["ab", "ä"]),
    (v.max_len(3), ["", "abc", "äöü"], ["abcd"]),
    (v.one_of("", "editor"), ["", "editor"], ["Editor", "editors", " "]),
    (v.not_in(0, 7), [1, 6], [0, 7]),
    (v.defined(0, 1, 4), [0, 1, 4], [2, 5, -1]),
    (v.at_least(0), [0, 1, 0.5, 86400], [-1, -0.000000001]),
    (v.at_most(86400), [-1, 0, 86400, 86400.0], [86401, 86400.000000001]),
    (v.min_items(2), [["a", "b"], {"a": 1, "b": 2}], [[], ["a"], {}]),
    (v.max_items(2), [[], ["a", "b"], {"a": 1}], [["a"] * 3]),
    (v.or_empty(v.uuid()), ["", UUID], ["x", " "]),
]


@pytest.mark.parametrize(("rule", "good", "bad"), KINDS, ids=lambda one: getattr(one, "id", ""))
def test_a_rule_accepts_and_refuses(rule: v.Rule, good: list[object], bad: list[object]) -> None:
    field = v.Field("size", rules=(rule,))
    assert [value for value in good if violations(field, value)] == []
    for value in bad:
        (violation,) = violations(field, value)
        assert violation.path == "size"
        assert f"({rule.id})" in violation.message


@pytest.mark.parametrize("rule", [rule for rule, _, _ in KINDS], ids=lambda rule: str(rule.id))
def test_a_rule_refuses_what_is_of_another_kind(rule: v.Rule) -> None:
    """Plain data is not typed: a wrong type is a violation, never a TypeError."""
    assert violations(v.Field("x", rules=(rule,)), object())


def test_rules_of_a_list_bind_the_list_and_each_item() -> None:
    field = v.Field("ids", v.Shape.LIST, rules=(v.max_items(2),), items=(v.min_len(1),))
    assert [one.path for one in violations(field, ["a", "", ""])] == ["ids", "ids[1]", "ids[2]"]


def test_rules_of_a_map_bind_keys_and_values() -> None:
    field = v.Field("output", v.Shape.MAP, keys=(v.min_len(1),), items=(v.max_len(2),))
    assert [one.path for one in violations(field, {"": "ok", "k": "long"})] == [
        'output[""] key',
        'output["k"]',
    ]


def test_required_is_broken_by_absence_only() -> None:
    table = {"M": v.Message((v.Field("part", presence=True, required=True),))}
    validator = v.Validator(table, read)
    assert validator.violations("M", {"part": {}}) == ()
    assert validator.violations("M", {}) == (Violation("part", "must be present (required)"),)


def test_an_absent_field_breaks_nothing_else() -> None:
    table = {"M": v.Message((v.Field("name", rules=(v.min_len(1),), presence=True),))}
    validator = v.Validator(table, read)
    assert validator.violations("M", {}) == ()
    assert validator.violations("M", {"name": ""}) != ()


def test_one_member_of_a_oneof_is_required() -> None:
    validator = v.Validator({"M": v.Message(oneofs=(("subject", ("id", "reference")),))}, read)
    assert validator.violations("M", {"id": ""}) == ()
    (violation,) = validator.violations("M", {})
    assert str(violation) == "subject: must have one of id, reference (oneof.required)"


def test_parts_are_checked_wherever_they_stand() -> None:
    """Path by path, all at once: a client should not have to come back for each."""
    named = v.Message((v.Field("name", rules=(v.min_len(1),)),))
    table = {
        "Named": named,
        "M": v.Message(
            (
                v.Field("one", of="Named", presence=True),
                v.Field("list", v.Shape.LIST, of="Named"),
                v.Field("map", v.Shape.MAP, of="Named"),
            )
        ),
    }
    nameless = {"name": ""}
    message = {"one": nameless, "list": [{"name": "a"}, nameless], "map": {"k": nameless}}
    paths = [violation.path for violation in v.Validator(table, read).violations("M", message)]
    assert paths == ["one.name", "list[1].name", 'map["k"].name']


def test_a_type_without_rules_is_never_wrong() -> None:
    assert v.Validator({}, read).violations("Unknown", object()) == ()


def test_a_long_value_is_cut_in_the_message() -> None:
    (violation,) = violations(v.Field("command", rules=(v.max_len(5),)), "secret " * 1000)
    assert len(violation.message) < 120


def test_the_table_names_only_types_that_have_rules() -> None:
    """`of` leads somewhere; else a rule would be lost silently."""
    named = {field.of for message in RULES.values() for field in message.fields if field.of}
    assert named <= RULES.keys()

"""Trees as JSON values, with no message in between: what json_format says of a type, compiled once.

json_format asks the descriptor about every field of every message anew, which costs more than all else an
answer takes. What it would say is the law here; a test compares the two.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from math import isfinite, isnan
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from runner_agent.api.schema import message_type
from runner_agent.api.wire_out import Tree

Way = Callable[[Any], object]
"""From a value of a tree to a value of JSON."""

_STRINGS_OF_TIME = frozenset({"google.protobuf.Timestamp", "google.protobuf.Duration"})


class _Field(NamedTuple):
    """`way` None: as it is. `skip`: what is left out, since it is what an absent field is; None: nothing."""

    name: str
    way: Way | None
    skip: Callable[[Any], bool] | None


_FIELDS: dict[str, Mapping[str, _Field]] = {}


def to_json(kind: Descriptor, tree: Tree) -> dict[str, object]:
    """What `json.dumps` takes. Raises KeyError for a field that `kind` does not have."""
    fields = _FIELDS.get(kind.full_name) or _compile(kind)
    told: dict[str, object] = {}
    for name, value in tree.items():
        if value is None:
            continue
        key, way, skip = fields[name]
        if skip is not None and skip(value):
            continue
        told[key] = value if way is None else way(value)
    return told


def json_name(kind: Descriptor, field: str) -> str:
    """What JSON calls the field. KeyError if there is none."""
    return (_FIELDS.get(kind.full_name) or _compile(kind))[field].name


def _compile(kind: Descriptor) -> Mapping[str, _Field]:
    fields = _FIELDS[kind.full_name] = {field.name: _field(field) for field in kind.fields}
    return fields


def _field(field: FieldDescriptor) -> _Field:
    nested = field.message_type
    if nested is not None and nested.GetOptions().map_entry:
        value = _one(nested.fields_by_name["value"])
        return _Field(field.json_name, dict if value is None else _entries(value), _is_empty)
    way = _one(field)
    if isinstance(field.default_value, list) or (nested is not None and not field.has_presence):
        many: Way = list if way is None else lambda items: [way(each) for each in items]
        return _Field(field.json_name, many, _is_empty)
    if field.has_presence:
        return _Field(field.json_name, way, None)
    if field.enum_type is not None:
        zero = frozenset({0, field.enum_type.values_by_number[0].name})
        return _Field(field.json_name, way, zero.__contains__)
    return _Field(field.json_name, way, _is_empty)


def _entries(value: Way) -> Way:
    return lambda entries: {key: value(each) for key, each in entries.items()}


def _is_empty(value: object) -> bool:
    return not value


def _one(field: FieldDescriptor) -> Way | None:
    """Of one value, whether the field has one or many."""
    nested = field.message_type
    if nested is not None:
        if nested.full_name in _STRINGS_OF_TIME:
            return lambda tree: _time(nested.full_name, tree.get("seconds", 0), tree.get("nanos", 0))
        return lambda tree: to_json(nested, tree)
    if field.enum_type is not None:
        names = {number: value.name for number, value in field.enum_type.values_by_number.items()}
        return lambda value: names.get(value, value)
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_INT64 | FieldDescriptor.CPPTYPE_UINT64:
            return str
        case FieldDescriptor.CPPTYPE_DOUBLE:
            return _number
        case FieldDescriptor.CPPTYPE_BOOL:
            return bool
        case FieldDescriptor.CPPTYPE_INT32 | FieldDescriptor.CPPTYPE_UINT32:
            return None
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_STRING:
            return None
        case _:
            raise TypeError(f"{field.full_name} cannot be told in JSON: nothing here says how")


def _number(value: float) -> float | str:
    if isfinite(value):
        return float(value)
    return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"


@lru_cache(1024)
def _time(name: str, seconds: int, nanos: int) -> str:
    """The same few times are told again and again."""
    time: Any = message_type(name)(seconds=seconds, nanos=nanos)
    return str(time.ToJsonString())

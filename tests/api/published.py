"""The published descriptors as facts to compare with: `published.txt`, one field, value or method a line."""

import re
from pathlib import Path
from typing import NamedTuple

_FIELD = re.compile(
    r"(?P<owner>gitpod\.v1\.[\w.]+)\.(?P<name>\w+) = (?P<number>\d+)"
    r"(?: (?P<type>[^|]+?))?(?: \| (?P<rules>.*))?"
)
_METHOD = re.compile(r"(?P<service>gitpod\.v1\.\w+)\.(?P<name>\w+): (?P<rest>.*)")


class Line(NamedTuple):
    """A field of a message, or a value of an enum: then `type` is empty."""

    owner: str
    name: str
    number: int
    type: str
    rules: tuple[str, ...]


class MethodLine(NamedTuple):
    """`signature` as in the file."""

    service: str
    name: str
    signature: str


def _read() -> tuple[list[Line], list[MethodLine]]:
    fields: list[Line] = []
    methods: list[MethodLine] = []
    for text in Path(__file__).with_name("published.txt").read_text().splitlines():
        if text.startswith("#"):
            continue
        if found := _METHOD.fullmatch(text):
            methods.append(MethodLine(found["service"], found["name"], found["rest"]))
            continue
        found = _FIELD.fullmatch(text)
        assert found is not None, text
        rules = tuple(found["rules"].split()) if found["rules"] else ()
        fields.append(Line(found["owner"], found["name"], int(found["number"]), found["type"] or "", rules))
    return fields, methods


FIELDS, METHODS = _read()

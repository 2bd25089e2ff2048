"""The configuration file, as strict as automations files are: each setting as it is written, with its place.

YAML makes a number of `1.10`, a boolean of `off` and sixties of `12:30`. Where a text is wanted that is told,
with the advice to write it in quotes, and never turned back into some other text.
"""

import os
import stat
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from runner_agent.control.documents import (
    Listing,
    Malformed,
    Mapping,
    Mark,
    Node,
    Scalar,
    Sort,
    describe,
    shorten,
)
from runner_agent.model.errors import Violation

MOST = 1 << 20
"""Bytes. Configurations are some dozen lines."""
_FREE = frozenset({"environment", "secrets", "secret_environment"})
"""Settings that map names of the user's own to texts."""
_MAPS = frozenset({"run_limits", *_FREE})
_LISTS = frozenset({"listen", "fire", "environment"})
_WORDS = frozenset(
    {
        *("service_stop_grace", "task_stop_grace", "ready_attempt_timeout", "executions_age"),
        *(
            "prebuild_timeout_least",
            "log_cap",
            "executions_kept",
            "post_machine_start",
            "prebuild",
            "run_limits",
        ),
        *("log_level", "cgroup", "listen", "fire", "secrets"),
    }
)
"""Settings of numbers, switches and words of ours, which YAML may take for what they are: the text is what
counts. To quote what is none of these would not help.
"""
_PRIVATE = frozenset({"token", "secret_environment"})
"""Settings whose values are not repeated: they are secrets, or somebody may have put one there."""


class Found(NamedTuple):
    """A setting: texts, a list of them or a map of them; and where it stands, for messages."""

    name: str
    raw: object
    place: str


def read_file(path: Path, names: Collection[str], wrong: list[Violation]) -> list[Found]:
    """The settings in it. What cannot be used is added to `wrong`, all of it at once."""
    try:
        root = _parsed(path)
    except Malformed as error:
        wrong.append(Violation(_place(path, error.mark), error.message))
        return []
    except (OSError, ValueError) as error:
        told = getattr(error, "strerror", None) or str(error)
        wrong.append(Violation(str(path), f"cannot be read ({told}); name another file with --config"))
        return []
    if root is None or (isinstance(root, Scalar) and root.sort is Sort.NOTHING):
        return []
    if not isinstance(root, Mapping):
        wrong.append(Violation(_place(path, root.mark), f"must be a map of settings, found {describe(root)}"))
        return []
    found: list[Found] = []
    places: dict[str, str] = {}
    for key, node in root.pairs:
        place, name = _place(path, key.mark), key.text if isinstance(key, Scalar) else ""
        if name not in names:
            wrong.append(Violation(f"{place}: {name or describe(key)}", _unknown(name, names)))
        elif name in places:
            wrong.append(
                Violation(f"{place}: {name}", f"is given twice, first at {places[name]}; remove one")
            )
        else:
            places[name] = place
            try:
                found.append(Found(name, _raw(name, node), _place(path, node.mark)))
            except _Refused as refused:
                for one in (refused, *refused.others):
                    at = _place(path, one.node.mark)
                    wrong.append(Violation(f"{at}: {name}{one.below}", one.told(name)))
    return found


class _Refused(Exception):
    """`below`: the path from the setting to the node. `advice`: what to do, with the text that is there."""

    def __init__(self, message: str, node: Node, below: str = "", advice: str = "") -> None:
        super().__init__(message)
        self.node, self.below, self.advice = node, below, advice
        self.others: list[_Refused] = []

    def told(self, name: str) -> str:
        """For people; less the value where that is private."""
        found = self.node.sort.value if isinstance(self.node, Scalar) else describe(self.node)
        if name in _PRIVATE and found != Sort.NOTHING.value:
            return f"{self}, not a {found.removeprefix('a ')}; write it in quotes if it is one"
        return f"{self}, not {describe(self.node)}; {self.advice}".removesuffix("; ")


def _parsed(path: Path) -> Node | None:
    from runner_agent.control.automations_yaml import read_yaml

    # A FIFO would have us wait for its writer, and be empty when the program is executed anew.
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) and not os.path.samestat(found, Path(os.devnull).stat()):
            raise ValueError("it is no file")
        data = os.read(file, MOST + 1)
    finally:
        os.close(file)
    if len(data) > MOST:
        raise ValueError(f"it is larger than {MOST >> 20} MiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Malformed(Mark(line), "not UTF-8; save the file as UTF-8") from None
    return read_yaml(text)


def _place(path: Path, mark: Mark) -> str:
    return f"{path}:{mark.line}:{mark.column}"


def _unknown(name: str, names: Collection[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name.lower().replace("-", "_"), names, 1)
    hint = f"did you mean {near[0]}?" if near else f"settings are {', '.join(sorted(names))}"
    return f"is not a setting; {hint}"


def _raw(name: str, node: Node) -> object:
    match node:
        case Scalar(sort=Sort.NOTHING) if name in _MAPS | _LISTS:
            return {} if name in _MAPS else []
        case Scalar():
            return _scalar(node, words=name in _WORDS)
        case Listing(items=items) if name == "environment":
            return _assignments(items)
        case Listing(items=items) if name in _LISTS:
            return [_scalar(item, f"[{at}]", words=name in _WORDS) for at, item in enumerate(items)]
        case Mapping(pairs=pairs) if name in _MAPS:
            return _texts(pairs, words=name in _WORDS, free=name == "environment")
        case _:
            wanted = "a map" if name in _MAPS else "a list" if name in _LISTS else "one value"
            raise _Refused(f"must be {wanted}", node)


def _texts(pairs: tuple[tuple[Node, Node], ...], *, words: bool, free: bool) -> dict[str, str]:
    texts: dict[str, str] = {}
    refused: list[_Refused] = []
    for key, value in pairs:
        try:
            name = _scalar(key, words=words, free=free)
            if name in texts:
                raise _Refused("must be given once", key, f".{name}", "remove one")
            texts[name] = _scalar(value, f".{name}", words=words, free=free)
        except _Refused as one:
            refused.append(one)
    if refused:
        refused[0].others = refused[1:]
        raise refused[0]
    return texts


def _assignments(items: tuple[Node, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, item in enumerate(items):
        name, value = _assignment(number, item)
        if name in found:
            raise _Refused(f"{name} must be given once", item, f"[{number}]", "remove one")
        found[name] = value
    return found


def _assignment(number: int, item: Node) -> tuple[str, str]:
    """`NAME=VALUE`, as Compose has it. A name alone would be one of the agent's own, which nobody knows."""
    text = _scalar(item, f"[{number}]")
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise _Refused("must be NAME=VALUE", item, f"[{number}]", "give the value here")
    return name, value


def _scalar(node: Node, below: str = "", *, words: bool = False, free: bool = False) -> str:
    """The text as it is written. Raises _Refused where YAML has made something else of it. `free`: any text
    will do, so the words for nothing are one in quotes.
    """
    if not isinstance(node, Scalar):
        raise _Refused("must be text", node, below, "write it as one text")
    if node.sort is Sort.NOTHING and not free:
        raise _Refused("must have a value", node, below, "remove it or give one")
    if node.sort is Sort.NOTHING or (node.sort is not Sort.TEXT and not words):
        raise _Refused("must be text", node, below, f'write it in quotes: "{shorten(node.text)}"')
    return node.text

"""Typed reading of marked nodes: an accessor gives a value, or notes a fault and goes on (rule 2.5)."""

from collections.abc import Iterable
from dataclasses import dataclass

from runner_agent.control.automations_keys import Form, near_miss
from runner_agent.control.checks import unusable
from runner_agent.control.documents import (
    Listing,
    Mapping,
    Mark,
    Node,
    Scalar,
    Sort,
    describe,
    printable,
    shorten,
)
from runner_agent.control.file_errors import FileError

_FEW = 100


@dataclass(frozen=True, slots=True)
class Field:
    """A value with its path; `at` is where a fault of the field as a whole is shown: at its key."""

    path: str
    at: Mark
    node: Node

    @property
    def empty(self) -> bool:
        """Written without a value, which says no more than not writing it (as in proto JSON)."""
        return isinstance(self.node, Scalar) and self.node.sort is Sort.NOTHING


class Faults:
    """What was found wrong so far."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._errors: list[FileError] = []

    @property
    def few(self) -> bool:
        """Worth guessing what was meant, which takes a while each time."""
        return len(self._errors) < _FEW

    def add(self, mark: Mark, path: str, message: str) -> None:
        """One more."""
        self._errors.append(FileError(self._file, mark.line, mark.column, path, message))

    def sorted(self) -> tuple[FileError, ...]:
        """All, in the order of the file, each once: what stands under an anchor is read at every use."""
        return tuple(sorted(set(self._errors)))

    def entries(self, field: Field, of: str) -> dict[str, Field]:
        """A map, each of its keys once. `of`: what it holds, for messages."""
        found: dict[str, Field] = {}
        if not isinstance(field.node, Mapping):
            self.add(field.node.mark, field.path, f"expected a map of {of}, found {describe(field.node)}")
            return found
        for key, value in field.node.pairs:
            if not isinstance(key, Scalar) or key.sort is not Sort.TEXT:
                quoted = f'; write it in quotes: "{shorten(key.text)}"' if isinstance(key, Scalar) else ""
                self.add(key.mark, field.path, f"expected a text as key, found {describe(key)}{quoted}")
            elif key.text in found:
                first = found[key.text].at.line
                self.add(
                    key.mark, _join(field.path, key.text), f"duplicate key, given before in line {first}"
                )
            else:
                found[key.text] = Field(_join(field.path, key.text), key.mark, value)
        return found

    def members(self, field: Field, form: Form, required: Iterable[str] = ()) -> dict[str, Field]:
        """A map of the form's keys, in lowerCamelCase; a required one that is missing is a fault, unless it
        was misspelt.
        """
        found: dict[str, Field] = {}
        meant: set[str] = set()
        for written, member in self.entries(field, ", ".join(form.keys) or "nothing").items():
            key = form.accept(written)
            if key is None:
                guess = form.guess(written) if self.few else None
                self.add(member.at, member.path, form.refusal(written, guess))
                meant.add((guess or "").split(".")[0])
            elif key in found:
                self.add(
                    member.at,
                    member.path,
                    f"duplicate key, given before as {found[key].path.rpartition('.')[2]}",
                )
            else:
                found[key] = member
        for key in required:
            if isinstance(field.node, Mapping) and key not in found and key not in meant:
                self.add(field.at, field.path, f"{key} is missing; {form.what} needs it")
        return found

    def text(self, field: Field, *, required: bool = False) -> str:
        """A text; "" after a fault."""
        node = field.node
        if field.empty and not required:
            return ""
        if not isinstance(node, Scalar) or node.sort is not Sort.TEXT:
            hint = ""
            if isinstance(node, Scalar) and not field.empty:
                hint = f'; write it in quotes: "{shorten(node.text)}"'
            elif isinstance(node, Listing):
                hint = "; write it as one text, after a | if it has several lines"
            self.add(node.mark, field.path, f"expected a text, found {describe(node)}{hint}")
            return ""
        if required and not node.text:
            self.add(node.mark, field.path, "expected a text, found an empty one")
        if (bad := unusable(node.text)) is not None:
            self.add(
                node.mark,
                field.path,
                f"holds the character {bad}, which cannot be passed to a program; remove it",
            )
            return ""
        return node.text

    def boolean(self, field: Field) -> bool:
        """true or false, or one of YAML's other words for them."""
        node = field.node
        if field.empty:
            return False
        if isinstance(node, Scalar) and node.sort is Sort.BOOLEAN:
            return node.text.lower() in {"true", "yes", "on"}
        self.add(node.mark, field.path, f"expected true or false, found {describe(node)}")
        return False

    def items(self, field: Field, of: str) -> list[Field]:
        """A list."""
        node = field.node
        if field.empty:
            return []
        if not isinstance(node, Listing):
            hint = f"; write it as a list: [{shorten(node.text)}]" if isinstance(node, Scalar) else ""
            self.add(node.mark, field.path, f"expected a list of {of}, found {describe(node)}{hint}")
            return []
        return [Field(f"{field.path}[{index}]", item.mark, item) for index, item in enumerate(node.items)]

    def choice(
        self, field: Field, accepted: Iterable[str], *, remarks: dict[str, str] | None = None
    ) -> str | None:
        """One word of several; None after a fault. `remarks`: why a word is none of them here."""
        words = tuple(accepted)
        node = field.node
        if isinstance(node, Scalar) and node.sort is Sort.TEXT and node.text in words:
            return node.text
        found = describe(node)
        if isinstance(node, Scalar) and node.sort is Sort.TEXT:
            if remarks and node.text in remarks:
                self.add(node.mark, field.path, f"{node.text}: {remarks[node.text]}")
                return None
            if self.few and (guess := near_miss(node.text, filter(None, words))):
                found += f"; did you mean {guess}?"
        listed = ", ".join(word or '""' for word in words)
        self.add(node.mark, field.path, f"expected one of {listed}; found {found}")
        return None


def _join(path: str, key: str) -> str:
    return f"{path}.{printable(key)}" if path else printable(key)

"""Typed reading of marked nodes: an accessor gives a value, or notes a fault and goes on (rule 2.5)."""

from collections.abc import Iterable
from collections.abc import Mapping as MapOf

from runner_agent.control.automations_keys import Form, near_miss, squeeze
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
from runner_agent.model.frozen import dataclass

_FEW = 100
Words = MapOf[str, str]


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
        """`fields` is all that was come by, by path."""
        self._file = file
        self._errors: list[FileError] = []
        self.fields: dict[str, Field] = {}

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

    def entries(self, field: Field, of: str, *, example: str = "", fixed: bool = False) -> dict[str, Field]:
        """A map, each of its keys once. `of`: what it holds, for messages; `example`: how it is written.

        `fixed`: of given keys, none of which YAML takes for anything but text (but perhaps what was meant by
        one).
        """
        found: dict[str, Field] = {}
        if not isinstance(field.node, Mapping):
            hint = f"; write {example}" if example else ""
            message = f"expected a map of {of}, found {describe(field.node)}{hint}"
            self.add(field.node.mark, field.path, message)
            return found
        for key, value in field.node.pairs:
            if not isinstance(key, Scalar) or (key.sort is not Sort.TEXT and not fixed):
                quoted = f'; write it in quotes: "{shorten(key.text)}"' if isinstance(key, Scalar) else ""
                self.add(key.mark, field.path, f"expected a text as key, found {describe(key)}{quoted}")
            if not isinstance(key, Scalar):
                continue
            if key.text in found:
                first = found[key.text].at
                message = f"duplicate key, given before in line {first.line}, column {first.column}"
                self.add(key.mark, _join(field.path, key.text), f"{message}; keep one of them")
            else:
                found[key.text] = self.note(Field(_join(field.path, key.text), key.mark, value))
        return found

    def note(self, field: Field) -> Field:
        """Keeps it for whoever asks by path."""
        self.fields[field.path] = field
        return field

    def members(self, field: Field, form: Form) -> dict[str, Field]:
        """A map of the form's keys, in lowerCamelCase; a required one that is missing is a fault, unless it
        was misspelt.
        """
        found: dict[str, Field] = {}
        meant: set[str] = set()
        keys = ", ".join(form.names) or "no keys"
        entries = self.entries(field, keys, example=form.example, fixed=True)
        for written, member in entries.items():
            key = form.accept(written)
            if key is None:
                guess = form.guess(written) if self.few else None
                self.add(member.at, member.path, form.refusal(written, guess))
                meant.add((guess or "").split(".")[0])
            elif key in found:
                other = found[key]
                message = (
                    f"duplicate key, given before as {other.path.rpartition('.')[2]} in line {other.at.line}"
                )
                self.add(member.at, member.path, f"{message}; keep one of them")
            else:
                found[key] = member
        for name in form.required:
            if isinstance(field.node, Mapping) and name not in found.keys() | meant:
                self.add(field.at, field.path, form.lacks(name, entries))
        return found

    def text(
        self, field: Field, *, required: bool = False, instead: str = "write it as one text", cure: str = ""
    ) -> str:
        """A text; "" after a fault. `instead` is told to who wrote a map, `cure` to who wrote nothing."""
        node = field.node
        if field.empty and not required:
            return ""
        if not isinstance(node, Scalar) or node.sort is not Sort.TEXT:
            hint = cure if field.empty else ""
            if isinstance(node, Scalar) and not field.empty:
                hint = f'; write it in quotes: "{shorten(node.text)}"'
            elif isinstance(node, Listing):
                hint = "; write it as one text, after a | if it has several lines"
            elif isinstance(node, Mapping):
                hint = f"; {instead}"
            self.add(node.mark, field.path, f"expected a text, found {describe(node)}{hint}")
            return ""
        if required and not node.text:
            self.add(node.mark, field.path, f"expected a text, found an empty one{cure}")
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
        words = isinstance(node, Scalar) and node.text.lower() in {"true", "false"}
        hint = f"; write {node.text.lower()} without quotes" if isinstance(node, Scalar) and words else ""
        self.add(node.mark, field.path, f"expected true or false, found {describe(node)}{hint}")
        return False

    def items(self, field: Field, of: str) -> list[Field]:
        """A list."""
        node = field.node
        if field.empty:
            return []
        if not isinstance(node, Listing):
            if isinstance(node, Scalar):
                hint = f"; write it as a list: [{shorten(node.text)}]"
            else:  # of references: Compose has a condition under each
                keys = [key.text for key, _ in node.pairs if isinstance(key, Scalar)]
                alone = bool(keys) and of == "references"
                hint = f"; list its keys alone: [{shorten(', '.join(keys))}]" if alone else "; list them"
            self.add(node.mark, field.path, f"expected a list of {of}, found {describe(node)}{hint}")
            return []
        return [
            self.note(Field(f"{field.path}[{index}]", item.mark, item))
            for index, item in enumerate(node.items)
        ]

    def choice(
        self,
        field: Field,
        accepted: Iterable[str],
        *,
        meant: Words | None = None,
        remarks: Words | None = None,
    ) -> str | None:
        """One word of several; None after a fault. `meant`: what other words, squeezed, stand for; `remarks`:
        why a word, squeezed, is none of them here.
        """
        words = tuple(accepted)
        node = field.node
        if isinstance(node, Scalar) and node.sort is Sort.TEXT and node.text in words:
            return node.text
        found = describe(node)
        if (word := _word(node)) is not None:
            if (remark := (remarks or {}).get(squeeze(word))) is not None:
                self.add(node.mark, field.path, f"{shorten(word)}: {remark}")
                return None
            guess = (meant or {}).get(squeeze(word)) or near_miss(word, filter(None, words))
            if self.few and guess in words:
                found += f"; did you mean {guess}?"
        listed = ", ".join(word or '""' for word in words)
        self.add(node.mark, field.path, f"expected one of {listed}; found {found}")
        return None


def _word(node: Node) -> str | None:
    """The word of a scalar, or of a map that says nothing but it: `prebuild: true`."""
    match node:
        case Scalar(text=text):
            return text
        case Mapping(pairs=((Scalar(text=text), _),)):
            return text
        case _:
            return None


def _join(path: str, key: str) -> str:
    return f"{path}.{printable(key)}" if path else printable(key)

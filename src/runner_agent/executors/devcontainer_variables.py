"""Variables in a dev container's properties, as `${containerWorkspaceFolder}`: replaced, or told by name.

The label holds the configuration as it was written, so they are all there still. Meaning and spelling are
those of the dev container specification; what only whoever made the container knows is told as unknown.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import field
from pathlib import PurePosixPath

from runner_agent.model.frozen import dataclass

LOCAL_FOLDER = "devcontainer.local_folder"
_CONFIG_FILE = "devcontainer.config_file"
_VARIABLE = re.compile(r"\$\{(.*?)\}")
_DIGITS = "0123456789abcdefghijklmnopqrstuv"


@dataclass(frozen=True, slots=True)
class Unknown:
    """Why a variable has no value. `empty`: the agent lacks it; it then is the empty text, as in a shell."""

    why: str
    empty: bool = False


@dataclass(frozen=True, slots=True)
class Filled:
    """A text with its variables replaced, but for those of `unknown`."""

    text: str
    unknown: tuple[Unknown, ...] = ()


@dataclass(frozen=True, slots=True)
class Variables:
    """What is known. `local` is the agent's environment, on the machine; `container` the container's own.

    `local_folder` is the workspace on the machine; `container_folder` that in the container, "" while it is
    being found.
    """

    local: Mapping[str, str] = field(repr=False)
    container: Mapping[str, str] = field(repr=False)
    labels: Mapping[str, str]
    local_folder: str
    container_folder: str = ""

    def of(self, value: object) -> Filled:
        """A property's value as text: numbers and `true` as they are written there, as the Dev Container CLI
        has them.
        """
        if isinstance(value, list | dict):
            return Filled("", (Unknown("a list or an object for its value, which is no text"),))
        filled = self.fill(value if isinstance(value, str) else json.dumps(value))
        fault = _unfit(filled.text)
        return Filled("", (*filled.unknown, Unknown(fault))) if fault else filled

    def fill(self, text: str) -> Filled:
        """Every variable in the text. What is none of the specification's stays as it is."""
        unknown: list[Unknown] = []

        def value(match: re.Match[str]) -> str:
            name, *words = match[1].split(":")
            found = self._value(name, words)
            if found is None:
                return match[0]
            if isinstance(found, Unknown):
                unknown.append(Unknown(f"{match[0]}, which is not known: {found.why}", found.empty))
                return ""
            return found

        return Filled(_VARIABLE.sub(value, text), tuple(unknown))

    def _value(self, name: str, words: list[str]) -> str | Unknown | None:
        match name:
            case "localEnv" | "env":
                found = _variable(self.local, words)
                return Unknown(_NOT_SET, empty=True) if found is None else found
            case "containerEnv":
                found = _variable(self.container, words)
                return "" if found is None else found
            case "localWorkspaceFolder":
                return self.local_folder
            case "localWorkspaceFolderBasename":
                return PurePosixPath(self.local_folder).name
            case "containerWorkspaceFolder":
                return self.container_folder or Unknown(_ITSELF)
            case "containerWorkspaceFolderBasename":
                return PurePosixPath(self.container_folder).name or Unknown(_ITSELF)
            case "devcontainerId":
                return _id(self.labels) or Unknown(f"the container has no label {LOCAL_FOLDER} to make it of")
            case _:
                return None


def named(name: str, value: Filled) -> Filled:
    """The value, unless no variable can have such a name."""
    if name and "=" not in name and not _unfit(name):
        return value
    return Filled("", (*value.unknown, Unknown("a name that no variable can have")))


def _unfit(text: str) -> str:
    """What no variable, path or user can hold; "" without it."""
    if "\0" in text:
        return "a NUL byte, which cannot be passed on"
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return "half a surrogate pair, which is no text"
    return ""


_ITSELF = "it is the property that names it"
_NOT_SET = "the agent's environment has no such variable, and there is no default"


def _variable(env: Mapping[str, str], words: list[str]) -> str | Unknown | None:
    """Of `NAME` or `NAME:DEFAULT`. None if it is not set."""
    if not words or not words[0]:
        return Unknown("it names no variable")
    return env.get(words[0], words[1] if len(words) > 1 else None)


def _id(labels: Mapping[str, str]) -> str:
    """As the Dev Container CLI makes it of the labels by which it finds the container; "" without them."""
    known = {name: labels[name] for name in (LOCAL_FOLDER, _CONFIG_FILE) if name in labels}
    if LOCAL_FOLDER not in known:
        return ""
    text = json.dumps(known, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    number = int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest(), "big")
    digits = ""
    while number:
        number, digit = divmod(number, 32)
        digits = _DIGITS[digit] + digits
    return digits.rjust(52, "0")

"""Settings put into the text of a configuration file, whose comments and order are its owner's."""

import re
from collections.abc import Mapping
from typing import cast

OPENING = """\
# Settings of runner-agent. `systemctl restart runner-agent` puts them in force; what runs goes on.
# docs/systemd.md tells what there is to set.
"""


class CannotEdit(Exception):
    """The text is not of a form that can be changed line by line. Says what a person is to do."""


def with_settings(text: str | None, wanted: Mapping[str, str]) -> str:
    """`text`, or that of a new file, with these top-level settings. Raises CannotEdit."""
    import yaml

    from runner_agent.control.automations_yaml import load_yaml

    before = OPENING if text is None else text
    try:
        present = load_yaml(before) or dict[object, object]()
    except ValueError as error:
        raise CannotEdit(f"cannot be read as YAML: {error}") from None
    if not isinstance(present, dict):
        raise CannotEdit("is not a map of settings")
    settings = cast("dict[object, object]", present)
    after = before
    for name, value in wanted.items():
        if settings.get(name) != value:
            line = yaml.safe_dump({name: value})  # pyright: ignore[reportUnknownMemberType]
            after = _with_line(after, name, line)
            settings[name] = value
    if not _means(after, settings):
        lines = "; ".join(f"{name}: {value}" for name, value in wanted.items())
        raise CannotEdit(f"cannot be changed by a program; write into it yourself: {lines}")
    return after


def _means(text: str, expected: dict[object, object]) -> bool:
    from runner_agent.control.automations_yaml import load_yaml

    try:
        return (load_yaml(text) or {}) == expected
    except ValueError:
        return False


def _with_line(text: str, name: str, line: str) -> str:
    changed, times = re.subn(rf"^{name}\s*:.*\n?", lambda _: line, text, count=1, flags=re.MULTILINE)
    return changed if times else f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{line}"

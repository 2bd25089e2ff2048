"""`--env` and `--env-file`: the variables of the caller that commands get, read as docker reads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runner_agent.cli.exits import INVALID, Quit
from runner_agent.model.specs import InDocker

if TYPE_CHECKING:
    from runner_agent.model.specs import AutomationsFile, EnvVar, RunsOn

_OURS = frozenset(
    {
        *("GITPOD_ENVIRONMENT_ID", "GITPOD_OUTPUT"),
        *("RUNNER_AGENT_SOCKET", "RUNNER_AGENT_REFERENCE", "RUNNER_AGENT_RUN_ID"),
    }
)
_OF_EVERY_SHELL = frozenset(
    {
        *("HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "PWD", "OLDPWD", "SHLVL"),
        *("_", "TERM", "HOSTNAME", "COLUMNS", "LINES", "PS1", "IFS", "TMPDIR", "UID", "EUID", "PPID"),
    }
)
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{,40}")
_QUOTED = re.compile(r"""(["']).*\1""")
_USE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")


def given(
    env: Sequence[str], files: Sequence[Path], caller: Mapping[str, str], tell: Callable[[str], object]
) -> dict[str, str]:
    """By name; later ones win, and those of `env` over those of files. A name alone takes the caller's value;
    `tell` hears of one that the caller does not have. Raises Quit naming every fault with its place.
    """
    found: dict[str, str] = {}
    faults: list[str] = []
    for place, text in (*_lines(files, faults), *(("--env", each) for each in env)):
        name, equals, value = text.partition("=")
        if not equals:
            value = caller.get(name, "")
        if fault := _fault(name, value):
            faults.append(f"{place}: {fault}")
        elif equals:
            found[name] = value
            if _QUOTED.fullmatch(value) and place != "--env":
                tell(f"{place}: the quotes belong to the value of {name}, as with docker: leave them out?")
        elif name in caller:
            found[name] = value
        else:
            # A line of a pasted key is no name, and is not told.
            what = name if _PLAIN.fullmatch(name) else "what it names"
            tell(f"{place}: {what} is not set here, so commands do not get it either.")
    if faults:
        for fault in faults[:-1]:
            tell(fault)
        raise Quit(INVALID, faults[-1])
    return found


def _lines(files: Sequence[Path], faults: list[str]) -> Iterator[tuple[str, str]]:
    """Each with its place; no comments and no empty ones."""
    for path in files:
        try:
            data = path.read_bytes()
        except OSError as error:
            faults.append(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}")
            continue
        for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
            try:
                line = raw.removesuffix(b"\r").decode().lstrip()
            except UnicodeDecodeError:
                faults.append(f"{path}:{number}: is not UTF-8")
                continue
            if line and not line.startswith("#"):
                yield f"{path}:{number}", line


def _fault(name: str, value: str) -> str:
    """What is wrong with a variable; "" if nothing is. A value may be a secret, and is never told."""
    if not name:
        return "there is no name before the `=`"
    if name.startswith("export "):
        return "write NAME=VALUE, without `export`"
    if any(each.isspace() for each in name):
        return "the name of a variable has no blanks; write NAME=VALUE"
    if name in _OURS:
        return f"{name} is set by the agent itself, for each command"
    if not _is_utf8(name):
        return f"the name {name!a} is not UTF-8"
    if not _is_utf8(value):
        return f"the value of {name} is not UTF-8"
    return f"{name} holds a NUL byte" if "\0" in name + value else ""


def _is_utf8(text: str) -> bool:
    """Python has other bytes of an argument or the environment as lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def wanted(file: AutomationsFile, caller: Mapping[str, str], known: Collection[str]) -> list[str]:
    """Variables that the caller has, that a script of the file uses, and that nobody sets for it; in the
    order of their use. `known` are those that every command gets anyway.
    """
    found: dict[str, None] = {}
    for script, own in _scripts(file):
        for match in _USE.finditer(script):
            name = match[1]
            elsewhere = name in own or name in known or name in _OF_EVERY_SHELL or name in _OURS
            if name in caller and not elsewhere and not _assigned(name, script):
                found[name] = None
    return list(found)


def _scripts(file: AutomationsFile) -> Iterator[tuple[str, set[str]]]:
    """Each with the names that its spec gives it."""
    for service in file.services:
        own = _own(service.launch.env, service.launch.runs_on)
        commands = service.launch.commands
        for script in (commands.start, commands.ready, commands.stop):
            if script:
                yield script, own
    for task in file.tasks:
        yield task.spec.command, _own(task.spec.env, task.spec.runs_on)


def _own(env: Sequence[EnvVar], runs_on: RunsOn) -> set[str]:
    inside = runs_on.environment if isinstance(runs_on, InDocker) else ()
    return {*(each.name for each in env), *(item.partition("=")[0] for item in inside)}


def _assigned(name: str, script: str) -> bool:
    return re.search(rf"(?:^|[\s;&|(]){name}=|\bfor {name}\b|\bread\b[^\n;]*\b{name}\b", script) is not None

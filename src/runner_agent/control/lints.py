"""What is valid in an automations file and will bite: warnings, each with its reason and its cure.

A comment `# runner-agent: ignore ID` in the line of a warning, or of the entry it is about, switches that
rule off there.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from runner_agent.control.automations_fields import Field
from runner_agent.control.documents import Scalar
from runner_agent.control.file_errors import FileWarning
from runner_agent.control.lint_races import automatic, named, races
from runner_agent.control.lint_scripts import Finding, detaches, leaves_behind, loops, never_ends
from runner_agent.control.lint_secrets import secrets_in
from runner_agent.control.lint_verbs import refused_verbs
from runner_agent.model.frozen import dataclass
from runner_agent.model.phases import Trigger
from runner_agent.model.specs import AutomationsFile, InDocker, ServiceEntry, TaskEntry

RULES: Mapping[str, str] = {
    "compose-detached": "`start` ends with `docker compose up -d` or the like",
    "container-detached": "`start` ends with `docker run -d` or `docker start`",
    "background-process": "`start` ends with something in the background: `&`, `setsid`",
    "nohup": "`start` ends with `nohup`",
    "terminal-multiplexer": "`start` ends with a detached `screen` or `tmux`",
    "process-manager": "`start` ends with `pm2 start` or the like",
    "service-manager": "`start` ends with `systemctl start`, `service ... start` or the like",
    "daemonizes": "`start` ends with a program that goes into the background by itself",
    "ready-without-timeout": "`ready` without `readinessTimeout` (told once a file)",
    "ready-loops": "`ready` waits in a loop of its own that nothing limits",
    "stop-never-ends": "`stop` follows a log, sleeps or loops for ever",
    "different-triggers": "a dependency and its dependant are started by different triggers",
    "service-races-task": "a service is started while a task that prepares it may still run",
    "service-earlier-than-its-task": "a service is started by an earlier event than a task that prepares it",
    "task-leaves-background": "a task ends with something in the background: `&`, `setsid`, a daemon",
    "no-triggers": "no entry of the file lists a trigger",
    "no-commands": "a service without commands is started by a trigger, or a task depends on it",
    "refused-verb": "a command of `gitpod`, `ona` or `gp` that is not answered here",
    "secret-literal": "a literal looks like a secret",
}
"""By id, in the words of the reference."""

_MARK = "runner-agent: ignore "
_ONCE = "ready-without-timeout"


@dataclass(frozen=True, slots=True)
class _At:
    """A finding at a path of the file. `key`: at the key rather than in the text."""

    path: str
    finding: Finding
    key: bool = False


def lint(name: str, text: str, file: AutomationsFile, fields: Mapping[str, Field]) -> tuple[FileWarning, ...]:
    """In the order of the file. `fields`: where its parts stand, by path; `text`: the file."""
    places = _Places(text.splitlines(), fields)
    found: set[FileWarning] = set()
    slow: list[tuple[str, FileWarning]] = []
    for rule in (_starts, _readies, _stops, _tasks, _triggers, _races, _nothing, _verbs, _secrets):
        for one in rule(file):
            line, column = places.of(one)
            if places.ignored(one, line):
                continue
            warning = FileWarning(name, line, column, one.path, one.finding.id, one.finding.message)
            if one.finding.id == _ONCE:
                slow.append((one.path.split(".")[1], warning))
            else:
                found.add(warning)
    return tuple(sorted((*found, *_once(slow))))


def _once(found: list[tuple[str, FileWarning]]) -> Iterator[FileWarning]:
    """One warning about all of them, at the first: most files that have it have it in every service."""
    if found:
        names = ", ".join(reference for reference, _ in found)
        first = min(warning for _, warning in found)
        yield replace(first, message=f"{names}: {first.message}")


class _Places:
    def __init__(self, lines: list[str], fields: Mapping[str, Field]) -> None:
        self._lines = lines
        self._fields = fields

    def field(self, path: str) -> Field:
        """By its path in lowerCamelCase, however it is written."""
        from runner_agent.control.automations_keys import snake

        found = self._fields.get(path)
        if found is None:
            head, _, rest = path.partition(".")
            entry, _, keys = rest.partition(".")
            for candidate, field in self._fields.items():
                if snake(candidate) == snake(f"{head}.{entry}.{keys}"):
                    return field
        assert found is not None, path
        return found

    def of(self, one: _At) -> tuple[int, int]:
        """Line and column; in a text after a | those of the line meant."""
        field = self.field(one.path)
        node = field.node
        if one.key:
            return field.at.line, field.at.column
        if not (isinstance(node, Scalar) and node.block):
            return node.mark.line, node.mark.column
        line = min(node.mark.line + 1 + one.finding.line, len(self._lines))
        written = self._lines[line - 1]
        return line, len(written) - len(written.lstrip()) + 1

    def ignored(self, one: _At, line: int) -> bool:
        """By a comment in its line or in the entry's."""
        entry = self._fields[".".join(one.path.split(".")[:2])].at.line
        return any(
            one.finding.id in _switched_off(self._lines[at - 1])
            for at in {line, entry}
            if at <= len(self._lines)
        )


def _switched_off(line: str) -> list[str]:
    """By the comment at the end of a line."""
    before, found, ids = line.rpartition(_MARK)
    return re.split("[ ,]+", ids.strip()) if found and "#" in before else []


def _starts(file: AutomationsFile) -> Iterator[_At]:
    for service in file.services:
        for finding in detaches(service.launch.commands.start):
            yield _At(f"services.{service.reference}.commands.start", finding)


def _readies(file: AutomationsFile) -> Iterator[_At]:
    for service in file.services:
        launch = service.launch
        path = f"services.{service.reference}.commands.ready"
        if not launch.commands.ready or launch.readiness_timeout is not None:
            continue
        message = (
            "without readinessTimeout a service whose ready never succeeds is STARTING for ever; add"
            " readinessTimeout: 5m or as long as it may take, or 0s where it may take for ever"
        )
        yield _At(path, Finding(_ONCE, 0, message), key=True)
        if (finding := loops(launch.commands.ready)) is not None:
            yield _At(path, finding)


def _stops(file: AutomationsFile) -> Iterator[_At]:
    for service in file.services:
        if (finding := never_ends(service.launch.commands.stop)) is not None:
            yield _At(f"services.{service.reference}.commands.stop", finding)


def _triggers(file: AutomationsFile) -> Iterator[_At]:
    entries: dict[str, ServiceEntry | TaskEntry] = {one.reference: one for one in file.services}
    entries |= {one.reference: one for one in file.tasks}
    for task in file.tasks:
        for need in task.depends_on:
            entry = entries.get(need)
            mine, its = automatic(task), automatic(entry) if entry is not None else frozenset[Trigger]()
            if not mine or not its or mine & its:
                continue
            again = "runs again" if isinstance(entry, TaskEntry) else "is started"
            message = (
                f"{need} is started by {named(its)}, and {again} for {task.reference} at {named(mine)};"
                f" give both the same trigger, or {need} none"
            )
            yield _At(
                f"tasks.{task.reference}.dependsOn", Finding("different-triggers", 0, message), key=True
            )


def _races(file: AutomationsFile) -> Iterator[_At]:
    for reference, finding in races(file):
        yield _At(f"services.{reference}.commands.start", finding, key=True)


def _tasks(file: AutomationsFile) -> Iterator[_At]:
    for task in file.tasks:
        if (finding := leaves_behind(task.spec.command)) is not None:
            yield _At(f"tasks.{task.reference}.command", finding)


def _nothing(file: AutomationsFile) -> Iterator[_At]:
    """What starts nothing, and what cannot be started."""
    entries: tuple[ServiceEntry | TaskEntry, ...] = (*file.services, *file.tasks)
    if entries and not any(entry.triggered_by for entry in entries):
        path = f"{'services' if file.services else 'tasks'}.{entries[0].reference}"
        message = (
            "no entry of this file lists a trigger, so that nothing starts by itself, not under `up` either;"
            " add triggeredBy: [postEnvironmentStart] to what is to run, or [manual] to what a person starts"
        )
        yield _At(path, Finding("no-triggers", 0, message), key=True)
    for service in file.services:
        if service.launch.commands.start:
            continue
        needed = [task.reference for task in file.tasks if service.reference in task.depends_on]
        why = f"{needed[0]} depends on it" if needed else f"{named(automatic(service))} passes it over"
        if needed or automatic(service):
            message = f"without commands the service cannot be started, and {why}; give it commands.start"
            yield _At(f"services.{service.reference}", Finding("no-commands", 0, message), key=True)


def _verbs(file: AutomationsFile) -> Iterator[_At]:
    for path, script in _scripts(file):
        for finding in refused_verbs(script):
            yield _At(path, finding)


def _secrets(file: AutomationsFile) -> Iterator[_At]:
    for path, text in _texts(file):
        for finding in secrets_in(text):
            yield _At(path, finding)


def _scripts(file: AutomationsFile) -> Iterator[tuple[str, str]]:
    for service in file.services:
        at, commands = f"services.{service.reference}.commands", service.launch.commands
        yield f"{at}.start", commands.start
        yield f"{at}.ready", commands.ready
        yield f"{at}.stop", commands.stop
    for task in file.tasks:
        yield f"tasks.{task.reference}.command", task.spec.command


def _texts(file: AutomationsFile) -> Iterator[tuple[str, str]]:
    yield from _scripts(file)
    for service in file.services:
        yield f"services.{service.reference}.description", service.description
        yield from _variables(f"services.{service.reference}", service.launch.runs_on)
    for task in file.tasks:
        yield f"tasks.{task.reference}.description", task.description
        yield from _variables(f"tasks.{task.reference}", task.spec.runs_on)


def _variables(at: str, runs_on: object) -> Iterator[tuple[str, str]]:
    if isinstance(runs_on, InDocker):
        for index, item in enumerate(runs_on.environment):
            yield f"{at}.runsOn.docker.environment[{index}]", item

"""What is valid in an automations file and will bite: warnings, each with its reason and its cure.

A comment `# runner-agent: ignore ID` in the line of a warning, or of the entry it is about, switches that
rule off there.
"""

import re
from collections.abc import Iterator, Mapping

from runner_agent.control.automations_fields import Field
from runner_agent.control.documents import Scalar
from runner_agent.control.file_errors import FileWarning
from runner_agent.control.lint_scripts import Finding, detaches, loops, never_ends
from runner_agent.control.lint_secrets import secrets_in
from runner_agent.control.lint_tools import prepares
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
    "ready-without-timeout": "`ready` without `readinessTimeout`",
    "ready-loops": "`ready` waits in a loop of its own that nothing limits",
    "stop-never-ends": "`stop` follows a log, sleeps or loops for ever",
    "different-triggers": "a dependency and its dependant are started by different triggers",
    "service-races-task": "a service and a task that prepares it are started by the same trigger",
    "secret-literal": "a literal looks like a secret",
}
"""By id, in the words of the reference."""

_MARK = "runner-agent: ignore "


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
    for rule in (_starts, _readies, _stops, _triggers, _races, _secrets):
        for one in rule(file):
            line, column = places.of(one)
            if not places.ignored(one, line):
                found.add(FileWarning(name, line, column, one.path, one.finding.id, one.finding.message))
    return tuple(sorted(found))


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


def _automatic(entry: ServiceEntry | TaskEntry) -> set[Trigger]:
    return set(entry.triggered_by) - {Trigger.MANUAL}


def _named(triggers: set[Trigger]) -> str:
    return " and ".join(trigger.value for trigger in Trigger if trigger in triggers)


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
        yield _At(path, Finding("ready-without-timeout", 0, message), key=True)
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
            mine, its = _automatic(task), _automatic(entry) if entry is not None else set[Trigger]()
            if not mine or not its or mine & its:
                continue
            again = "runs again" if isinstance(entry, TaskEntry) else "is started"
            message = (
                f"{need} is started by {_named(its)}, and {again} for {task.reference} at {_named(mine)};"
                f" give both the same trigger, or {need} none"
            )
            yield _At(
                f"tasks.{task.reference}.dependsOn", Finding("different-triggers", 0, message), key=True
            )


def _races(file: AutomationsFile) -> Iterator[_At]:
    for service in file.services:
        for task in file.tasks:
            shared = _automatic(service) & _automatic(task)
            what = prepares(task.spec.command, service.launch.commands.start) if shared else ""
            if not what or service.reference in task.depends_on:
                continue
            message = (
                f"{_named(shared)} starts this service and the task {task.reference} at the same time, and"
                f" start needs what the task's {what} makes; a service cannot depend on a task, so let start"
                " wait for it, or give the service no trigger and end the task with: runner-agent service"
                f" start {service.reference}"
            )
            path = f"services.{service.reference}.commands.start"
            yield _At(path, Finding("service-races-task", 0, message), key=True)


def _secrets(file: AutomationsFile) -> Iterator[_At]:
    for path, text in _texts(file):
        for finding in secrets_in(text):
            yield _At(path, finding)


def _texts(file: AutomationsFile) -> Iterator[tuple[str, str]]:
    for service in file.services:
        at, commands = f"services.{service.reference}", service.launch.commands
        yield f"{at}.description", service.description
        yield f"{at}.commands.start", commands.start
        yield f"{at}.commands.ready", commands.ready
        yield f"{at}.commands.stop", commands.stop
        yield from _variables(at, service.launch.runs_on)
    for task in file.tasks:
        at = f"tasks.{task.reference}"
        yield f"{at}.description", task.description
        yield f"{at}.command", task.spec.command
        yield from _variables(at, task.spec.runs_on)


def _variables(at: str, runs_on: object) -> Iterator[tuple[str, str]]:
    if isinstance(runs_on, InDocker):
        for index, item in enumerate(runs_on.environment):
            yield f"{at}.runsOn.docker.environment[{index}]", item

"""The schema of an automations file: marked nodes to entries, by rules 2.1 to 2.4 and 2.6."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet

from runner_agent.control import automations_habits as habits
from runner_agent.control import automations_keys as keys
from runner_agent.control.automations_fields import Faults, Field
from runner_agent.control.automations_keys import Form, near_miss, squeeze
from runner_agent.control.checks import LONGEST_READINESS_TIMEOUT, REFERENCE
from runner_agent.control.dependencies import cycles, name_cycle
from runner_agent.control.documents import Listing, Mark, Node, Scalar, Sort, describe, shorten
from runner_agent.control.documents import Mapping as Map
from runner_agent.control.durations import ACCEPTED, parse_duration
from runner_agent.core.images import wrong_with_image
from runner_agent.model.ids import Reference
from runner_agent.model.phases import ServiceRole, Trigger
from runner_agent.model.specs import (
    Anywhere,
    AutomationsFile,
    InDocker,
    Launch,
    OnMachine,
    RunsOn,
    ServiceCommands,
    ServiceEntry,
    TaskEntry,
    TaskSpec,
)

ROLES = tuple(role for role in ServiceRole if role is not ServiceRole.SECURITY_AGENT)
PUBLISHED = (
    Trigger.MANUAL,
    Trigger.POST_ENVIRONMENT_START,
    Trigger.POST_DEVCONTAINER_START,
    Trigger.PREBUILD,
)
"""The triggers that the published descriptor accepts in a file; the documentation has the other two too."""


_PROBE = (
    "write a command that exits 0 once the service is ready, such as: curl -sf http://localhost:8080/healthz"
)


class Schema:
    """Reads one file. `strict`: hold to what the published descriptor accepts."""

    def __init__(self, faults: Faults, *, strict: bool) -> None:
        self._faults = faults
        self._triggers = PUBLISHED if strict else tuple(Trigger)
        self._needs: dict[Reference, list[tuple[Reference, Field]]] = {}
        self._listed_items = False

    def file(self, root: Node | None, known: Iterable[str]) -> AutomationsFile:
        """The whole file; worth something only if no fault was noted. `known`: what tasks may depend on
        besides.
        """
        if root is None:
            return AutomationsFile()
        top = Field("", Mark(), root)
        parts = {} if top.empty else self._faults.members(top, keys.TOP)
        services = self._entries(parts.get("services"), self._service, keys.SERVICE)
        tasks = self._entries(parts.get("tasks"), self._task, keys.TASK)
        for reference in services.keys() & tasks.keys():
            line = services[reference].at.line
            message = f"{reference} is a service too, in line {line}; references are unique over both"
            self._faults.add(tasks[reference].at, tasks[reference].path, message)
        file = AutomationsFile(
            tuple(self._service(reference, field) for reference, field in services.items()),
            tuple(self._task(reference, field) for reference, field in tasks.items()),
        )
        if not self._listed_items:  # else nobody knows what they go by
            self._check_dependencies({*services, *tasks, *known})
        return file

    def _entries(
        self, field: Field | None, read: Callable[[Reference, Field], object], form: Form
    ) -> Mapping[Reference, Field]:
        if field is None or field.empty:
            return {}
        if isinstance(field.node, Listing):
            self._listed(field, read, form)
            return {}
        entries = self._faults.entries(field, "entries by reference", example=form.example)
        for reference, entry in entries.items():
            if not REFERENCE.fullmatch(reference):
                plain = unicodedata.normalize("NFKD", reference).encode("ascii", "ignore").decode()
                better = re.sub("[^a-zA-Z0-9_-]+", "-", plain)[:128].strip("-")
                hint = f"; write {better}" if better else ""
                message = f"a reference is 1 to 128 of the characters a-z A-Z 0-9 _ -{hint}"
                self._faults.add(entry.at, f"{field.path}.{shorten(reference)}", message)
        return {Reference(reference): entry for reference, entry in entries.items()}

    def _listed(self, field: Field, read: Callable[[Reference, Field], object], form: Form) -> None:
        """A list, as older and other formats have it: its items are read all the same, so that whoever turns
        it into a map learns now what else is wrong in it.
        """
        message = f"expected a map of entries by reference, found a list; write each item as {form.example}"
        self._faults.add(field.node.mark, field.path, message)
        for item in self._faults.items(field, "entries"):
            if isinstance(item.node, Map):
                self._listed_items = True
                read(Reference(""), item)

    def _service(self, reference: Reference, entry: Field) -> ServiceEntry:
        parts = self._faults.members(entry, keys.SERVICE)
        role = parts.get("role")
        timeout = parts.get("readinessTimeout")
        return ServiceEntry(
            reference,
            self._text(parts, "name", required=True),
            Launch(
                self._commands(parts.get("commands")),
                self._runs_on(parts.get("runsOn")),
                readiness_timeout=None if timeout is None else self._duration(timeout),
            ),
            self._text(parts, "description"),
            self._triggered_by(parts.get("triggeredBy"), service=True),
            ServiceRole.UNSPECIFIED if role is None else self._role(role),
        )

    def _task(self, reference: Reference, entry: Field) -> TaskEntry:
        parts = self._faults.members(entry, keys.TASK)
        success = parts.get("prebuildRequiresSuccess")
        pairs = entry.node.pairs if isinstance(entry.node, Map) else ()
        cure = keys.TASK.cure("command", [key.text for key, _ in pairs if isinstance(key, Scalar)])
        return TaskEntry(
            reference,
            self._text(parts, "name", required=True),
            TaskSpec(
                self._text(parts, "command", required=True, cure=cure),
                self._runs_on(parts.get("runsOn")),
                prebuild_requires_success=success is not None and self._faults.boolean(success),
            ),
            self._text(parts, "description"),
            self._triggered_by(parts.get("triggeredBy"), service=False),
            self._depends_on(reference, parts.get("dependsOn")),
        )

    def _text(self, parts: Mapping[str, Field], key: str, *, required: bool = False, cure: str = "") -> str:
        field = parts.get(key)
        if field is None:
            return ""
        if key == "ready":
            return self._faults.text(field, instead=_PROBE)
        return self._faults.text(field, required=required, cure=cure)

    def _commands(self, field: Field | None) -> ServiceCommands:
        if field is None:
            return ServiceCommands("")  # rule 2.11
        parts = self._faults.members(field, keys.COMMANDS)
        return ServiceCommands(
            self._text(parts, "start", required=True), self._text(parts, "ready"), self._text(parts, "stop")
        )

    def _runs_on(self, field: Field | None) -> RunsOn:
        if field is None or field.empty:
            return Anywhere()
        parts = self._faults.members(field, keys.RUNS_ON)
        docker, machine = parts.get("docker"), parts.get("machine")
        if machine is not None:
            self._machine(machine)
        image = InDocker("") if docker is None else self._docker(docker)
        if docker is not None and machine is not None:
            self._faults.add(field.at, field.path, "docker and machine at once; give one of them")
        if docker is not None:
            return image
        return Anywhere() if machine is None else OnMachine()

    def _machine(self, field: Field) -> None:
        if field.empty:
            self._faults.add(field.node.mark, field.path, "expected a map, found nothing; write machine: {}")
        else:
            self._faults.members(field, keys.MACHINE)

    def _docker(self, field: Field) -> InDocker:
        parts = self._faults.members(field, keys.DOCKER)
        environment = parts.get("environment")
        items = [] if environment is None else self._faults.items(environment, "KEY=VALUE or KEY")
        texts = [(item, self._faults.text(item, required=True)) for item in items]
        for item, text in texts:
            if text.startswith("="):
                self._faults.add(
                    item.at, item.path, f"expected KEY=VALUE or KEY, found {describe(item.node)}"
                )
        image = self._text(parts, "image", required=True)
        if image and (wrong := wrong_with_image(image)):
            self._faults.add(parts["image"].node.mark, parts["image"].path, wrong)
        return InDocker(image, tuple(text for _, text in texts))

    def _duration(self, field: Field) -> int | None:
        if field.empty:
            return None
        node = field.node
        nanoseconds = (
            parse_duration(node.text) if isinstance(node, Scalar) and node.sort is Sort.TEXT else None
        )
        if nanoseconds is None:
            number = isinstance(node, Scalar) and node.sort is Sort.NUMBER
            hint = f"; did you mean {describe(node).split()[-1]}s?" if number else ""
            self._faults.add(
                node.mark, field.path, f"expected a duration {ACCEPTED}; found {describe(node)}{hint}"
            )
        elif nanoseconds > LONGEST_READINESS_TIMEOUT:
            self._faults.add(node.mark, field.path, f"expected 0s to 86400s (a day), found {describe(node)}")
        return nanoseconds

    def _role(self, field: Field) -> ServiceRole:
        if field.empty:
            return ServiceRole.UNSPECIFIED
        return ServiceRole(self._faults.choice(field, [role.value for role in ROLES]) or "")

    def _triggered_by(self, field: Field | None, *, service: bool) -> tuple[Trigger, ...]:
        if field is None:
            return ()
        accepted = [
            trigger for trigger in self._triggers if not (service and trigger is Trigger.BEFORE_SNAPSHOT)
        ]
        remarks = {
            squeeze(trigger.value): "the published API does not accept it in a file"
            for trigger in Trigger
            if trigger not in accepted
        }
        if service:
            remarks[squeeze(Trigger.BEFORE_SNAPSHOT.value)] = (
                "only a task can run before a snapshot; services are stopped for it"
            )
        remarks |= habits.TRIGGERS_REMARKS
        words = [
            self._faults.choice(
                item,
                [trigger.value for trigger in accepted],
                meant=habits.TRIGGERS_MEANT,
                remarks=remarks,
            )
            for item in self._faults.items(field, "triggers")
        ]
        return tuple(dict.fromkeys(Trigger(word) for word in words if word is not None))

    def _depends_on(self, task: Reference, field: Field | None) -> tuple[Reference, ...]:
        items = [] if field is None else self._faults.items(field, "references")
        needs = [(Reference(self._faults.text(item, required=True)), item) for item in items]
        self._needs[task] = [(need, item) for need, item in needs if need]
        return tuple(dict.fromkeys(need for need, _ in self._needs[task]))

    def _check_dependencies(self, known: AbstractSet[str]) -> None:
        """Rule 2.6: unknown, self, cyclic."""
        for needs in self._needs.values():
            for need, item in needs:
                if need not in known:
                    guess = near_miss(need, known) if self._faults.few else None
                    hint = f"; did you mean {guess}?" if guess else "; no service or task goes by it"
                    self._faults.add(item.node.mark, item.path, f"unknown reference {shorten(need)}{hint}")
        for cycle in cycles({task: [need for need, _ in needs] for task, needs in self._needs.items()}):
            item = next(item for need, item in self._needs[Reference(cycle[0])] if need == cycle[1])
            self._faults.add(item.node.mark, item.path, name_cycle(cycle))

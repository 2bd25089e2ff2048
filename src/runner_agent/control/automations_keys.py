"""The keys of an automations file: what each takes and is for, and which was meant by another (2.1, 2.5).

The reader, the JSON schema and the reference in docs/ are made from this table.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import field
from difflib import get_close_matches
from enum import Enum
from functools import cache

from runner_agent.control import automations_habits as habits
from runner_agent.control.documents import shorten
from runner_agent.model.frozen import dataclass


class Takes(Enum):
    """The kinds of values; the value is the word for it in the reference."""

    TEXT = "text"
    SCRIPT = "script"
    BOOLEAN = "true or false"
    DURATION = "duration"
    ROLE = "role"
    TRIGGERS = "list of triggers"
    REFERENCES = "list of references"
    VARIABLES = "list of KEY=VALUE or KEY"
    FORM = "map"
    ENTRIES = "map by reference"


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `form` is that of the map it takes, or of each entry of it."""

    name: str
    takes: Takes
    about: str
    required: bool = False
    form: "Form | None" = None


@dataclass(frozen=True, slots=True)
class Form:
    """A map of fixed keys. `meant`: other words for them, squeezed, and the path that says it here.

    `remarks`: words that say nothing here, and why. `example`: the form at its shortest, for who wrote
    something else. `cures`: of a missing or empty key, what to do where a certain other key is there.
    """

    what: str
    keys: tuple[Key, ...]
    meant: Mapping[str, str] = field(default_factory=dict[str, str])
    remarks: Mapping[str, str] = field(default_factory=dict[str, str])
    example: str = ""
    cures: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])

    @property
    def names(self) -> tuple[str, ...]:
        """In the order of the reference."""
        return tuple(key.name for key in self.keys)

    @property
    def required(self) -> tuple[str, ...]:
        """Those that cannot be left out."""
        return tuple(key.name for key in self.keys if key.required)

    def lacks(self, name: str, written: Iterable[str]) -> str:
        """The sentence about a required key that is missing beside the keys `written`."""
        return f"{name} is missing; {self.what} needs it{self.cure(name, written)}"

    def cure(self, name: str, written: Iterable[str]) -> str:
        """What to do about a key that is missing or empty beside the keys `written`, whichever way."""
        other, cure = self.cures.get(name, ("", ""))
        there = any(other in {self.accept(key), self.meant.get(squeeze(key))} for key in written)
        return f"; {cure}" if there else ""

    def accept(self, key: str) -> str | None:
        """The key in its lowerCamelCase form, None if it is none of ours. snake_case is the other form
        accepted.
        """
        if key in self.names:
            return key
        return next((known for known in self.names if key == snake(known)), None) if "_" in key else None

    def guess(self, key: str) -> str | None:
        """What was meant, if that can be told: a known word before a likeness of letters."""
        squeezed = squeeze(key)
        if squeezed in self.remarks:
            return None
        return self.meant.get(squeezed) or near_miss(key, self.names)

    def refusal(self, key: str, guess: str | None) -> str:
        """The sentence about an unknown key, of which `guess` was meant."""
        found = f"unknown key '{shorten(key)}'"
        if (remark := self.remarks.get(squeeze(key))) is not None:
            return f"{found}: {remark}"
        hint = f"; did you mean {guess}?" if guess else ";"
        return f"{found}{hint} {self.what} takes {', '.join(self.names) or 'no keys'}"


def near_miss(found: str, accepted: Iterable[str]) -> str | None:
    """The accepted word that `found` is a misspelling of."""
    by_squeezed = {squeeze(word): word for word in accepted}
    close = get_close_matches(squeeze(found), by_squeezed, n=1, cutoff=0.65)
    return by_squeezed[close[0]] if close else None


@cache
def snake(camel: str) -> str:
    """`triggeredBy` as `triggered_by`."""
    return re.sub("[A-Z]", lambda letter: f"_{letter.group().lower()}", camel)


def squeeze(word: str) -> str:
    """`depends_on`, `depends-on` and `Depends On` are one word."""
    return re.sub("[-_. ]", "", word[:200]).lower()


_NAME = Key("name", Takes.TEXT, "For people; need not be unique.", required=True)
_DESCRIPTION = Key("description", Takes.TEXT, "For people.")

DOCKER = Form(
    "docker",
    (
        Key("image", Takes.TEXT, "The image to run the commands in.", required=True),
        Key("environment", Takes.VARIABLES, "Variables of the container, as with `docker run -e`."),
    ),
    habits.DOCKER_MEANT,
    habits.DOCKER_REMARKS,
    example="docker: {image: IMAGE}",
)
MACHINE = Form("machine", (), example="machine: {}")
RUNS_ON = Form(
    "runsOn",
    (
        Key("docker", Takes.FORM, "In a container of its own, one for each run.", form=DOCKER),
        Key(
            "machine", Takes.FORM, "On the machine itself, also where there is a dev container.", form=MACHINE
        ),
    ),
    habits.RUNS_ON_MEANT,
    habits.RUNS_ON_REMARKS,
    example="runsOn: {machine: {}} or runsOn: {docker: {image: IMAGE}}",
)
COMMANDS = Form(
    "commands",
    (
        Key(
            "start",
            Takes.SCRIPT,
            "The service itself. It has to stay in the foreground: when it ends, the service has ended.",
            required=True,
        ),
        Key(
            "ready",
            Takes.SCRIPT,
            "Exits 0 once the service can be used. It is run again, a second after each failed attempt, until"
            " it does. Without it the service is up as soon as it runs.",
        ),
        Key("stop", Takes.SCRIPT, "Run to stop the service, instead of SIGTERM to `start`."),
    ),
    habits.COMMANDS_MEANT,
    habits.COMMANDS_REMARKS,
    example="commands: {start: COMMAND}",
)
_TRIGGERED_BY = Key(
    "triggeredBy",
    Takes.TRIGGERS,
    "The events that start it. An empty list or none: it is never started by itself.",
)
_RUNS_ON = Key(
    "runsOn",
    Takes.FORM,
    "Where its commands run. Absent: in the dev container where there is one, else on the machine.",
    form=RUNS_ON,
)
SERVICE = Form(
    "a service",
    (
        _NAME,
        _DESCRIPTION,
        Key("commands", Takes.FORM, "What it runs. Without it the service cannot be started.", form=COMMANDS),
        _TRIGGERED_BY,
        _RUNS_ON,
        Key("role", Takes.ROLE, "What it is to the environment."),
        Key(
            "readinessTimeout",
            Takes.DURATION,
            "How long it may take to be ready, counted from its start: what it waits for, as an image that is"
            " pulled, is included. Then it is brought down and has failed. At most a day; absent or 0s: for"
            " ever.",
        ),
    ),
    habits.SERVICE_MEANT,
    habits.SERVICE_REMARKS,
    example="REFERENCE: {name: NAME, commands: {start: COMMAND}}",
)
TASK = Form(
    "a task",
    (
        _NAME,
        _DESCRIPTION,
        Key("command", Takes.SCRIPT, "What it runs, to its end; exit code 0 is success.", required=True),
        Key(
            "dependsOn",
            Takes.REFERENCES,
            "Tasks that have to succeed first, and services that have to be up.",
        ),
        _TRIGGERED_BY,
        _RUNS_ON,
        Key(
            "prebuildRequiresSuccess",
            Takes.BOOLEAN,
            "Whether a prebuild fails with it. Otherwise its failure is a warning there.",
        ),
    ),
    habits.TASK_MEANT,
    habits.TASK_REMARKS,
    example="REFERENCE: {name: NAME, command: COMMAND}",
    cures={
        "command": (
            "dependsOn",
            'for one that only waits for what it depends on, write command: "true"',
        )
    },
)
TOP = Form(
    "an automations file",
    (
        Key("services", Takes.ENTRIES, "Long-running commands.", form=SERVICE),
        Key("tasks", Takes.ENTRIES, "Commands that run to their end.", form=TASK),
    ),
    remarks=habits.TOP,
    example="services: and tasks: at the top, each a map by reference",
)

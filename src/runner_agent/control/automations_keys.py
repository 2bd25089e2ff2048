"""The keys of an automations file, and which of them somebody meant who wrote another (rules 2.1, 2.5)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from runner_agent.control.documents import shorten


@dataclass(frozen=True, slots=True)
class Form:
    """A map of fixed keys. `meant`: other words for them, in lower case, and the path that says it here.

    `remarks`: words that say nothing here, and why.
    """

    what: str
    keys: tuple[str, ...]
    meant: Mapping[str, str] = field(default_factory=dict[str, str])
    remarks: Mapping[str, str] = field(default_factory=dict[str, str])

    def accept(self, key: str) -> str | None:
        """The key in its lowerCamelCase form, None if it is none of ours. snake_case is the other form
        accepted.
        """
        if key in self.keys:
            return key
        return next((known for known in self.keys if snake(known) == key), None)

    def guess(self, key: str) -> str | None:
        """What was meant, if that can be told."""
        return self.meant.get(key.lower()) or near_miss(key, self.keys)

    def refusal(self, key: str, guess: str | None) -> str:
        """The sentence about an unknown key, of which `guess` was meant."""
        found = f"unknown key '{shorten(key)}'"
        if (remark := self.remarks.get(_squeeze(key))) is not None:
            return f"{found}: {remark}"
        hint = f"; did you mean {guess}?" if guess else ";"
        return f"{found}{hint} {self.what} takes {', '.join(self.keys) or 'no keys'}"


def near_miss(found: str, accepted: Iterable[str]) -> str | None:
    """The accepted word that `found` is a misspelling of."""
    by_squeezed = {_squeeze(word): word for word in accepted}
    close = get_close_matches(_squeeze(found), by_squeezed, n=1, cutoff=0.65)
    return by_squeezed[close[0]] if close else None


def snake(camel: str) -> str:
    """`triggeredBy` as `triggered_by`."""
    return re.sub("[A-Z]", lambda letter: f"_{letter.group().lower()}", camel)


def _squeeze(word: str) -> str:
    return re.sub("[-_ ]", "", word[:200]).lower()


_TRIGGERS = dict.fromkeys(("triggers", "trigger", "on", "when", "start_on", "starton"), "triggeredBy")
_COMMON_REMARKS = {
    "env": "a file holds no environment variables; set them in the command or, by the API, in the spec",
    "environment": "it belongs under runsOn.docker; without a container, set variables in the command",
    "reference": "the reference is the key of the entry",
    "id": "ids are given by the agent; the reference is the key of the entry",
}

TOP = Form("an automations file", ("services", "tasks"))
SERVICE = Form(
    "a service",
    ("name", "description", "commands", "triggeredBy", "runsOn", "role", "readinessTimeout"),
    meant={
        **_TRIGGERS,
        **dict.fromkeys(("command", "start", "cmd", "run", "exec", "script"), "commands.start"),
        **dict.fromkeys(("ready", "healthcheck", "readiness", "probe"), "commands.ready"),
        "stop": "commands.stop",
        "timeout": "readinessTimeout",
        "image": "runsOn.docker.image",
        "docker": "runsOn.docker",
        "machine": "runsOn.machine",
    },
    remarks={
        **_COMMON_REMARKS,
        "dependson": "a service waits for nothing; let a task depend on it instead",
        "prebuildrequiressuccess": "only a task takes it",
    },
)
TASK = Form(
    "a task",
    ("name", "description", "command", "dependsOn", "triggeredBy", "runsOn", "prebuildRequiresSuccess"),
    meant={
        **_TRIGGERS,
        **dict.fromkeys(("commands", "cmd", "run", "exec", "script", "start"), "command"),
        **dict.fromkeys(("needs", "depends", "dependencies", "requires", "after"), "dependsOn"),
        "image": "runsOn.docker.image",
        "docker": "runsOn.docker",
        "machine": "runsOn.machine",
    },
    remarks={
        **_COMMON_REMARKS,
        "role": "only a service has a role",
        "readinesstimeout": "only a service takes it",
    },
)
COMMANDS = Form(
    "commands",
    ("start", "ready", "stop"),
    meant={
        **dict.fromkeys(("command", "cmd", "run", "exec", "script"), "start"),
        **dict.fromkeys(("healthcheck", "readiness", "probe"), "ready"),
    },
)
RUNS_ON = Form(
    "runsOn", ("docker", "machine"), meant={"container": "docker", "image": "docker.image", "host": "machine"}
)
DOCKER = Form("docker", ("image", "environment"), meant={"env": "environment"})
MACHINE = Form("machine", ())

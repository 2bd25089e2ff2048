"""The tables of docs/automations.md and the JSON schema, from the tables the reader and the lints go by."""

import json
from collections.abc import Iterator

from runner_agent.control import automations_keys as keys
from runner_agent.control.automations_habits import TRIGGERS_MEANT
from runner_agent.control.automations_json_schema import json_schema
from runner_agent.control.automations_keys import Form, Key, Takes
from runner_agent.control.automations_schema import PUBLISHED, ROLES
from runner_agent.control.automations_starter import STARTER
from runner_agent.control.lints import RULES
from runner_agent.model.phases import Trigger

assert set(TRIGGERS_MEANT.values()) <= {each.value for each in Trigger}

_EVENTS = {
    Trigger.MANUAL: "never by itself; it marks a start button",
    Trigger.POST_MACHINE_START: "once per boot of the machine, before any dev container is ready",
    Trigger.POST_DEVCONTAINER_START: "at each start of the dev container",
    Trigger.POST_ENVIRONMENT_START: "once per boot, when the environment is ready",
    Trigger.PREBUILD: "in a prebuild; user-scoped secrets are out of reach there",
    Trigger.BEFORE_SNAPSHOT: "at the end of a prebuild, before the snapshot; tasks only",
}


def key_tables() -> str:
    """Every key by its path."""
    rows = ["| key | takes | required | what it is for |", "|---|---|---|---|"]
    for path, key in _paths(keys.TOP, ""):
        required = "yes" if key.required else ""
        rows.append(f"| `{path}` | {_taken(key)} | {required} | {key.about.replace('|', chr(92) + '|')} |")
    return "\n".join(rows)


def triggers() -> str:
    """The events, and which of them the published descriptor accepts in a file."""
    rows = ["| trigger | fires | `--strict` |", "|---|---|---|"]
    rows += [
        f"| `{each.value}` | {_EVENTS[each]} | {'accepted' if each in PUBLISHED else 'refused'} |"
        for each in Trigger
    ]
    return "\n".join(rows)


def warnings() -> str:
    """The lints by id."""
    return "\n".join(
        ["| id | what bites |", "|---|---|", *(f"| `{id_}` | {what} |" for id_, what in RULES.items())]
    )


def starter() -> str:
    """What `init` writes."""
    return f"```yaml\n{STARTER.rstrip()}\n```"


def schema() -> str:
    """The whole file."""
    return json.dumps(json_schema(), indent=2) + "\n"


def _paths(form: Form, prefix: str) -> Iterator[tuple[str, Key]]:
    for key in form.keys:
        path = f"{prefix}{key.name}"
        yield path, key
        if key.form is not None and key.form is not keys.RUNS_ON:
            yield from _paths(key.form, f"{path}.REF." if key.takes is Takes.ENTRIES else f"{path}.")
    if form is keys.TOP:
        yield from _paths(keys.RUNS_ON, "runsOn.")


def _taken(key: Key) -> str:
    match key.takes:
        case Takes.ROLE:
            return "one of " + ", ".join(f"`{role.value or chr(34) * 2}`" for role in ROLES)
        case Takes.DURATION:
            return "`90s`, `1.5s`, `5m`, `1h30m`"
        case _:
            return key.takes.value.replace("|", "\\|")

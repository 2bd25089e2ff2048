"""The form of an automations file as a JSON schema (draft 2020-12), for editors.

It accepts every document that the reader accepts, and refuses what a schema can tell: keys, kinds of values,
words. References that nothing goes by, cycles and the like only the reader sees.
"""

from runner_agent.control import automations_keys as keys
from runner_agent.control.automations_keys import Form, Key, Takes, snake
from runner_agent.control.automations_schema import ROLES
from runner_agent.control.checks import REFERENCE
from runner_agent.model.phases import Trigger

Part = dict[str, object]

_NEVER_EMPTY = (keys.MACHINE, keys.COMMANDS)
"""`machine` says something by being there, and nobody begins `commands` for nothing."""


def json_schema() -> Part:
    """As JSON would have it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Automations file",
        "description": "Services and tasks of a development environment.",
        **_optional(_form(keys.TOP)),
    }


def _form(form: Form) -> Part:
    """Both spellings of each key. Several keys of `runsOn` exclude one another."""
    properties: Part = {}
    for key in form.keys:
        for name in dict.fromkeys((key.name, snake(key.name))):
            value = _value(key, form)
            properties[name] = {
                "description": key.about,
                **(value if key.required or key.form in _NEVER_EMPTY else _optional(value)),
            }
    required: Part = {"required": list(form.required)} if form.required else {}
    alone: Part = {"maxProperties": 1} if form is keys.RUNS_ON else {}
    return {
        "type": "object",
        "properties": properties,
        **required,
        **alone,
        "additionalProperties": False,
    }


def _optional(value: Part) -> Part:
    """A key without a value is as good as none."""
    kind = value.get("type")
    choices = value.get("enum")
    wider: Part = {"type": [kind, "null"]}
    return {**value, **wider, **({"enum": [*choices, None]} if isinstance(choices, list) else {})}


def _value(key: Key, form: Form) -> Part:
    match key.takes:
        case Takes.TEXT | Takes.SCRIPT:
            return {"type": "string", **({"minLength": 1} if key.required else {})}
        case Takes.BOOLEAN:
            return {"type": "boolean"}
        case Takes.DURATION:
            pattern = r"^(?=.)([0-9]{1,12}h)?([0-9]{1,12}m)?([0-9]{1,12}(\.[0-9]{1,9})?s)?$"
            return {"type": "string", "pattern": pattern, "examples": ["90s", "5m", "1h30m"]}
        case Takes.ROLE:
            return {"type": "string", "enum": [role.value for role in ROLES]}
        case Takes.TRIGGERS:
            words = [
                each.value for each in Trigger if form is keys.TASK or each is not Trigger.BEFORE_SNAPSHOT
            ]
            return _list({"type": "string", "enum": words})
        case Takes.REFERENCES:
            return _list({"type": "string", "minLength": 1})
        case Takes.VARIABLES:
            return _list({"type": "string", "pattern": "^[^=]"})
        case Takes.FORM:
            assert key.form is not None
            return _form(key.form)
        case Takes.ENTRIES:
            assert key.form is not None
            return {
                "type": "object",
                "propertyNames": {"pattern": f"^{REFERENCE.pattern}$"},
                "additionalProperties": _form(key.form),
            }


def _list(item: Part) -> Part:
    return {"type": "array", "items": item}

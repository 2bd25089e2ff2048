"""The rules of the schema, applied to its messages."""

from typing import Any

from google.protobuf.message import Message

from runner_agent.core.rules import RULES
from runner_agent.core.validate import Validator
from runner_agent.model.errors import InvalidArgument


def _read(message: object, name: str, *, presence: bool) -> object | None:
    """See `core.validate.Read`."""
    fields: Any = message
    if presence and not fields.HasField(name):
        return None
    value: object = getattr(fields, name)
    if isinstance(value, Message) and value.DESCRIPTOR.full_name == "google.protobuf.Duration":
        seconds: Any = value
        return float(seconds.seconds + seconds.nanos / 1e9)
    return value


_VALIDATOR = Validator(RULES, _read)


def check(message: Message) -> None:
    """Raises InvalidArgument with every violation (rule 1.3)."""
    if broken := _VALIDATOR.violations(message.DESCRIPTOR.full_name, message):
        raise InvalidArgument(*broken)

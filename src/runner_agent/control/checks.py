"""What a definition must satisfy whichever way it came: the merged result is judged (rules 1.2, 1.6, 2.3).

The API and the file reader refuse most of it earlier, at the place where it stands; this is what nothing gets
past.
"""

import re
from collections.abc import Iterable, Iterator

from runner_agent.core.images import wrong_with_image
from runner_agent.model.errors import InvalidArgument, Violation
from runner_agent.model.phases import Trigger
from runner_agent.model.specs import (
    EnvVar,
    InDocker,
    Launch,
    RunsOn,
    ServiceMetadata,
    TaskMetadata,
    TaskSpec,
)

REFERENCE = re.compile("[a-zA-Z0-9_-]{1,128}")
LONGEST_READINESS_TIMEOUT = 86_400 * 1_000_000_000
LONGEST_OUTPUT_KEY = 128
LONGEST_OUTPUT_VALUE = 4096


def unusable(text: str) -> str | None:
    """The first character that no command, name or variable can hold: NUL ends a text early, and half a
    surrogate pair cannot be written as UTF-8. As `U+0000`; None if all is well.
    """
    bad = next((char for char in text if char == "\0" or "\ud800" <= char <= "\udfff"), None)
    return None if bad is None else f"U+{ord(bad):04X}"


def require(violations: Iterable[Violation]) -> None:
    """Raises InvalidArgument with all of them, if there are any."""
    if found := tuple(violations):
        raise InvalidArgument(*found)


def check_service(metadata: ServiceMetadata, launch: Launch, prefix: str = "") -> Iterator[Violation]:
    """A service as it would be stored. `prefix` goes before the paths. Commands may be absent (rule 2.11)."""
    yield from _metadata(metadata, prefix)
    if Trigger.BEFORE_SNAPSHOT in metadata.triggered_by:
        path = f"{prefix}metadata.triggered_by"
        yield Violation(path, "beforeSnapshot starts tasks only; services are stopped before a snapshot")
    commands = launch.commands
    path = f"{prefix}spec.commands"
    yield from _text(f"{path}.start", commands.start, required=bool(commands.ready or commands.stop))
    yield from _text(f"{path}.ready", commands.ready)
    yield from _text(f"{path}.stop", commands.stop)
    yield from _where(launch.runs_on, launch.env, prefix)
    if not 0 <= (launch.readiness_timeout or 0) <= LONGEST_READINESS_TIMEOUT:
        yield Violation(f"{prefix}spec.readiness_timeout", "must be 0s to 86400s")


def check_task(metadata: TaskMetadata, spec: TaskSpec, prefix: str = "") -> Iterator[Violation]:
    """A task as it would be stored. An empty command is the published API's to allow."""
    yield from _metadata(metadata, prefix)
    yield from _text(f"{prefix}spec.command", spec.command)
    yield from _where(spec.runs_on, spec.env, prefix)


def in_file(violations: Iterable[Violation], entry: str) -> Iterator[Violation]:
    """In a file an entry has no halves: `spec.commands.start` is `services.web.commands.start`."""
    for violation in violations:
        yield Violation(f"{entry}.{violation.path.partition('.')[2]}", violation.message)


def check_output(key: str, value: str) -> Iterator[Violation]:
    """One entry sent to a status."""
    if not 1 <= len(key) <= LONGEST_OUTPUT_KEY:
        yield Violation(
            "status.output", f"a key must have 1 to {LONGEST_OUTPUT_KEY} characters, not {len(key)}"
        )
    if len(value) > LONGEST_OUTPUT_VALUE:
        message = f"a value must have at most {LONGEST_OUTPUT_VALUE} characters, not {len(value)}"
        yield Violation(f"status.output[{key[:LONGEST_OUTPUT_KEY]}]", message)


def _metadata(metadata: ServiceMetadata | TaskMetadata, prefix: str) -> Iterator[Violation]:
    if not REFERENCE.fullmatch(metadata.reference):
        message = "must be 1 to 128 of the characters a-z A-Z 0-9 _ -"
        yield Violation(f"{prefix}metadata.reference", message)
    yield from _text(f"{prefix}metadata.name", metadata.name, required=True)
    yield from _text(f"{prefix}metadata.description", metadata.description)


def _where(runs_on: RunsOn, env: tuple[EnvVar, ...], prefix: str) -> Iterator[Violation]:
    if isinstance(runs_on, InDocker):
        path = f"{prefix}spec.runs_on.docker.image"
        yield from _text(path, runs_on.image, required=True)
        if runs_on.image and not unusable(runs_on.image) and (wrong := wrong_with_image(runs_on.image)):
            yield Violation(path, wrong)
        for index, item in enumerate(runs_on.environment):
            yield from _text(f"{prefix}spec.runs_on.docker.environment[{index}]", item)
    for index, variable in enumerate(env):
        path = f"{prefix}spec.env[{index}]"
        yield from _text(f"{path}.name", variable.name, required=True)
        if "=" in variable.name:
            yield Violation(f"{path}.name", "must not hold '='")
        if isinstance(variable.value, str):
            yield from _text(f"{path}.value", variable.value)


def _text(path: str, text: str, *, required: bool = False) -> Iterator[Violation]:
    if required and not text:
        yield Violation(path, "must not be empty")
    if (bad := unusable(text)) is not None:
        yield Violation(path, f"holds the character {bad}, which cannot be passed to a program; remove it")

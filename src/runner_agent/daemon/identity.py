"""Who this agent is: environment id and token, bound to the machine so that an image or a snapshot never
clones them (rule 1.1).
"""

import json
import secrets
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from runner_agent.daemon.files import write_atomically
from runner_agent.kit.reading import value_of
from runner_agent.model.errors import InvalidArgument, StoreUnusable, Violation
from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import EnvironmentId
from runner_agent.store.base import Store

_MARKS: Mapping[str, Path] = {
    "machine-id": Path("/etc/machine-id"),
    "instance-id": Path("/run/cloud-init/.instance-id"),
    "instance-id-kept": Path("/var/lib/cloud/data/instance-id"),
    "product-uuid": Path("/sys/class/dmi/id/product_uuid"),
}


@dataclass(frozen=True, slots=True)
class Identity:
    """`renewed`: the machine is another one than the state was made on."""

    environment_id: EnvironmentId
    token: str
    renewed: bool


def machine_marks(places: Mapping[str, Path] = _MARKS) -> dict[str, str]:
    """What tells this machine from its clones, by where it is written, as far as it can be read now."""
    found = {name: _text(path) for name, path in places.items()}
    return {name: text for name, text in found.items() if text}


def another_machine(before: Mapping[str, str], here: Mapping[str, str]) -> bool:
    """Whether a mark has changed. One that only now can be read (cloud-init comes late, or we run as another
    user) tells nothing.
    """
    return any(before[name] != here[name] for name in before.keys() & here.keys())


async def establish(
    store: Store,
    token_file: Path,
    *,
    environment_id: str,
    token: str,
    marks: Mapping[str, str] | None = None,
) -> Identity:
    """The identity in force; drawn and kept if there is none yet or the machine has changed. Settings win.

    Raises InvalidArgument, StoreUnusable. The machine is noted last: an agent that dies in between renews
    once more.
    """
    here = machine_marks() if marks is None else marks
    before = cast("dict[str, str]", value_of(store.get_meta("machine") or "{}"))
    renewed = another_machine(before, here)
    if environment_id:
        _require_uuid(environment_id)
    present = store.get_meta("environment_id")
    wanted = environment_id.lower() or ("" if renewed else present) or str(uuid.uuid4())
    if wanted != present:
        await store.set_meta("environment_id", wanted)
    identity = Identity(EnvironmentId(wanted), token or _token(token_file, renewed=renewed), renewed)
    if (known := {**before, **here}) != before:
        await store.set_meta("machine", json.dumps(known))
    return identity


async def forget(store: Store, token_file: Path) -> None:
    """The next agent that starts here is somebody else: for a state that is copied into images. This one
    stays who it is. Raises RunnerError, OSError.
    """
    token_file.unlink(missing_ok=True)
    await store.set_meta("environment_id", "")
    await store.set_meta("machine", "{}")


def _token(path: Path, *, renewed: bool) -> str:
    present = "" if renewed else _text(path)
    if present:
        return present
    fresh = secrets.token_urlsafe(32)
    try:
        write_atomically(path, f"{fresh}\n", mode=0o600)
    except OSError as error:
        raise StoreUnusable(f"the token cannot be written to {path} ({error.strerror}); make room") from None
    return fresh


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _require_uuid(text: str) -> None:
    try:
        uuid.UUID(text)
    except ValueError:
        message = f"{text!r} is not a UUID; set one, or leave it out to have one drawn"
        raise InvalidArgument(Violation("environment_id", message)) from None

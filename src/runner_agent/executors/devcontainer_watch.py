"""Which dev container runs, as of now: events tell at once, and a look tells what events have missed.

An Engine that is away is asked again, with growing pauses, and told of once.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import structlog

from runner_agent.executors.base import RunRequest
from runner_agent.executors.devcontainer_place import DevContainer, Selector, of_inspection
from runner_agent.executors.docker_words import away
from runner_agent.kit.bell import Bell
from runner_agent.launcher.engine import STRANGE, Away, Engine, Refusal, later, object_of, strange
from runner_agent.model.errors import CannotStart

__all__ = ["Away", "DevContainerWatch", "Refusal", "look"]

LOOK_AGAIN = 60.0
"""Seconds without a word after which the Engine is asked all the same."""
FIRST, LONGEST = 0.2, 15.0
"""Seconds before an Engine that is away is tried again: doubled, up to the longest."""
_EVENTS = json.dumps(
    {"type": ["container"], "event": ["start", "die", "destroy", "pause", "unpause", "rename", "restart"]}
)
log = structlog.get_logger("devcontainer")


class DevContainerWatch:
    """The one dev container of the settings. `changed` rings when `found` or `absence` is another."""

    def __init__(
        self, selector: Selector, address: Callable[[], str], workspace: Path, environ: Mapping[str, str]
    ) -> None:
        """`environ` is the agent's own environment. Nothing is asked before `run`."""
        self._selector, self._address, self._workspace = selector, address, workspace
        self._environ = environ
        self.found: DevContainer | None = None
        self.absence = f"the dev container {selector.text} has not been looked for yet"
        self.changed = Bell()
        self._trouble = ""
        self._troubles = 0
        self._hurry = asyncio.Event()
        self._away = False

    async def running(self, request: RunRequest) -> DevContainer:
        """It, once it runs (rule 6.3). May be cancelled. Raises CannotStart where no Engine answers now."""
        if self.found is not None and not Path(f"/proc/{self.found.pid}").exists():
            await self.now()  # the word of its end may still be on its way: Podman's takes half a second
        before = self._troubles
        while self.found is None:
            if self._trouble and self._troubles > before:
                raise CannotStart(self._trouble)
            heard = self.changed.rings
            if self._trouble:
                self._hurry.set()  # it may be over
            else:
                request.waits(self.absence)
            await self.changed.wait(heard)
        request.waits("")
        return self.found

    async def now(self) -> DevContainer | None:
        """It, if it runs, as the Engine has it at this moment: events may still be on their way."""
        with suppress(Away, Refusal, CannotStart):
            await self._look()
        return self.found

    async def run(self) -> None:
        """Until cancelled."""
        pause, address = FIRST, ""
        while True:
            try:
                address = self._address()
                async with _events(address) as events:
                    await self._look()
                    pause = FIRST
                    self._tell_back()
                    while True:
                        try:
                            async with asyncio.timeout(LOOK_AGAIN):
                                if await anext(events, None) is None:
                                    break
                        except TimeoutError:
                            pass
                        await self._look()
            except OSError as error:
                words = away(address, error.errno, str(error) or "no answer in time")
                self._tell_away(words, trouble=isinstance(error, PermissionError))
            except Away as error:
                self._tell_away(str(error))
            except (Refusal, CannotStart, ValueError) as error:
                self._tell_away(str(error), trouble=True)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._hurry.wait()
            self._hurry.clear()
            pause = min(2 * pause, LONGEST)

    async def _look(self) -> None:
        """What runs now. Raises Away, Refusal, CannotStart."""
        self._set(
            *await asyncio.to_thread(look, self._address(), self._selector, self._workspace, self._environ)
        )

    def _set(self, found: DevContainer | None, absence: str, trouble: str = "") -> None:
        if (found, absence, trouble) != (self.found, self.absence, self._trouble):
            for text in found.warnings if found is not None and self.found != found else ():
                log.warning(text, name=found.name if found is not None else "")
            self.found, self.absence, self._trouble = found, absence, trouble
            self.changed.ring()

    def _tell_away(self, why: str, *, trouble: bool = False) -> None:
        if not self._away:
            self._away = True
            log.warning("the Docker Engine does not answer as one; looking again until it does", error=why)
        self._troubles += trouble
        self._set(None, why, why if trouble else "")
        if trouble:
            self.changed.ring()  # the same once more is news for a run that waits for it

    def _tell_back(self) -> None:
        if self._away:
            self._away = False
            log.info("the Docker Engine is back")


def look(
    address: str, selector: Selector, workspace: Path, environ: Mapping[str, str]
) -> tuple[DevContainer | None, str]:
    """The dev container, if it runs, else what it is instead. Blocks. Raises Away, Refusal."""
    try:
        told, absence = _inspected(Engine(address), selector)
        if told is None:
            return None, absence
        name, state = str(told.get("Name", "")).removeprefix("/"), object_of(told.get("State"), "State")
        found = of_inspection(told, workspace, environ)
        return found, f"the dev container {name} is {state.get('Status', 'not running')}"
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise Refusal(STRANGE, strange(address, f"{type(error).__name__}: {error}")) from None


def _inspected(engine: Engine, selector: Selector) -> tuple[Mapping[str, object] | None, str]:
    """The inspection of the container that is meant, or why there is none. Of several that carry the label,
    one that runs, and the newest.
    """
    which, absence = selector.text, f"there is no dev container {selector.text}"
    if (label := selector.label) is not None:
        filters = quote(json.dumps({"label": [label]}))
        absence = f"there is no dev container with the label {label}"
        listed = engine.list("GET", f"/containers/json?all=1&filters={filters}")
        if not listed:
            return None, absence
        best = max(listed, key=lambda one: (one.get("State") == "running", _number(one.get("Created"))))
        which = str(best.get("Id") or which)
    try:
        return engine.ask("GET", f"/containers/{quote(which, safe='')}/json"), ""
    except Refusal as refusal:
        if refusal.status != 404:
            raise
        return None, absence


@asynccontextmanager
async def _events(address: str) -> AsyncGenerator[AsyncIterator[bytes]]:
    """The Engine's events from now on, a line each, until it hangs up. Raises OSError, Refusal."""
    kind, _, rest = address.partition("://")
    try:
        if kind == "unix":
            reader, writer = await asyncio.open_unix_connection(rest)
        else:
            host, _, port = rest.rstrip("/").rpartition(":")
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except (ValueError, OverflowError) as error:
        raise Refusal(STRANGE, f"the Docker Engine at {address} cannot be asked: {error}") from None
    try:
        writer.write(f"GET /events?filters={quote(_EVENTS)} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
        async with asyncio.timeout(FIRST * 150):
            status = await _line(reader)
            while (await _line(reader)).strip():
                pass
        if not status:
            raise ConnectionResetError("it hung up")
        if b" 200 " not in status:
            raise _no_events(address, status)
        yield _lines(reader)
    finally:
        writer.close()


async def _lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while line := await _line(reader):
        yield line


async def _line(reader: asyncio.StreamReader) -> bytes:
    """The next line; a part of one that is too long, which tells of no container."""
    try:
        return await reader.readline()
    except ValueError:
        return b"?"


def _no_events(address: str, status: bytes) -> Exception:
    """What it means that it answered so: an Engine may be about to come up."""
    said = status.decode("latin-1").strip()
    code = said.split()[1] if said.startswith("HTTP/") and len(said.split()) > 1 else ""
    if code.isdigit() and later(int(code), ""):
        return Away(f"the Docker Engine at {address} asks to be tried later: {said}")
    return Refusal(STRANGE, strange(address, said[:80]))


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0

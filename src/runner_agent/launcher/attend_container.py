"""The attendant of a container: starts it, learns how its command ends, and has nothing of it be left.

All that the run needs goes past the Engine, by the box and by pids (the kernel is shared), so an Engine that
is away or restarted costs nothing but its own knowledge. Where the container's processes cannot be seen or
signalled from here, the Engine is asked instead.
"""

import os
import select
import signal
import time

from runner_agent.launcher import box, loglines, procs, records
from runner_agent.launcher.attend import Pause, Wishes, ended_by, say, until_over
from runner_agent.launcher.engine import Away, Engine, Refusal, Streams, lives, state_of
from runner_agent.launcher.inmate import Inmate
from runner_agent.launcher.wire import cast, value_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runner_agent.launcher.wire import Message

PLAN, BEGUN, WORD, AWAY = "plan", "begun", "word", "away"
STOPPED = "it was stopped before its container could be started"
REMOVED = "its container was removed by somebody else"
ENGINE_GONE = "the Docker Engine was stopped, and the container with it"

_SOON = 5.0
"""Seconds for an answer that is good to have, and that nothing rests on."""
_AUTOPSY = 10.0
"""Seconds for the Engine to come back and tell how a container ended; then what we know must do."""
_RESTLESS = 2.0
"""Seconds between two questions to an Engine that is away and alone knows whether the container lives."""
_TO_BE_REMOVED = 1.0
"""Seconds from the death of a container that is being removed until it is."""
_KILLED = 137
_TO_END = 2.0
"""Seconds for a container to end when its last process is told to."""


def main(folder: str) -> None:
    """Of the process."""
    attendant = Attendant(folder)
    until_over(attendant.until_ended, attendant.until_empty, folder)


class Attendant:
    """One run's. Everything waits in one place, `_wait`, and is looked at after it."""

    def __init__(self, folder: str) -> None:
        """Raises OSError."""
        self._wishes = Wishes()
        with open(f"{folder}/{PLAN}", "rb") as file:
            plan = cast("dict[str, str]", value_of(file.read()))
        self._folder = folder
        self._engine = Engine(plan["engine"])
        self._path = f"/containers/{plan['id']}"
        self._id, self._title, self._grace = plan["id"], plan["title"], float(plan["grace"])
        self._box = box.Box(f"{folder}/box")
        self._word = _open_word(folder)
        self._inmate: Inmate | None = None
        self._poll = select.poll()
        self._poll.register(self._wishes.ear, select.POLLIN)
        self._poll.register(self._box.told, select.POLLIN)
        self._asked = self._killed = self._away = False
        self._kill_again = Pause()

    def until_ended(self) -> "Message":
        """How the command ended."""
        try:
            outcome = self._start() or self._until_code()
        finally:
            self._settled()
        return outcome

    def until_empty(self) -> None:
        """Until the container is gone: at once, when nothing but its own is left in it."""
        while not (self._wishes.clear or self._wishes.kill or self._dead):
            self._wait(None)
        left = self._left()
        if left and not self._wishes.kill:
            then = f"SIGTERM, and SIGKILL {self._grace:g} s later"
            say(f"{self._title} left behind {loglines.named(left)}; {then}")
            self._box.order(box.TERM)
            self._until_left_is_gone(time.monotonic() + self._grace)
        if not self._wishes.kill:
            self._box.order(box.END)
            self._until(time.monotonic() + _TO_END)
        while not self._dead:
            self._kill()
            self._wait(self._kill_again.next())

    # ------------------------------------------------------------------ beginning

    def _start(self) -> "Message | None":
        """None once it is started; else how that ended. An Engine that is away is waited for."""
        pause = Pause()
        while True:
            if self._wishes.terminate or self._wishes.kill:
                return {"how": "not_started", "reason": STOPPED}
            try:
                self._engine.ask("POST", f"{self._path}/start")  # once more does nothing
                state = self._state()
            except Away as away:
                if not self._away:
                    say(f"{away}; trying again until it answers")
                    self._tell_away(str(away))
                self._wait(pause.next())
                continue
            except Refusal as refusal:
                if refusal.status == 404:
                    return {"how": "lost", "reason": REMOVED}
                return {"how": "not_started", "reason": refusal.text}
            pid = state.get("Pid")
            self._inmate = Inmate(self._id, pid if isinstance(pid, int) else 0, self._engine, self._poll)
            return None

    def _until_code(self) -> "Message":
        while self._box.code is None:
            if self._box.begun:
                self._settled()
            if self._dead:
                self._box.hear()  # its last word may have come first
                break
            self._wait(self._obey())
        code = self._box.code
        return self._autopsy() if code is None else self._judge(code)

    def _settled(self) -> None:
        """The agent waits to hear whether the command begins; it has begun, or never will."""
        if self._word < 0 and not self._away:
            return
        if self._box.begun and self._inmate is not None:
            try:
                records.write(self._folder, BEGUN, self._inmate.record())
            except OSError:  # it only names survivors
                pass
        if self._away:
            self._away = False
            try:
                os.unlink(f"{self._folder}/{AWAY}")
            except OSError:
                pass
        self._hang_up()

    def _tell_away(self, why: str) -> None:
        """The agent need not wait here: it asks again, and may be asked to stop meanwhile."""
        try:
            records.write(self._folder, AWAY, {"why": why})
        except OSError:  # then it waits
            return
        self._away = True
        self._hang_up()

    def _hang_up(self) -> None:
        if self._word >= 0:
            os.close(self._word)
            self._word = -1

    # ------------------------------------------------------------------ meanwhile

    def _wait(self, seconds: float | None) -> None:
        """For whatever comes first."""
        if self._inmate is not None and self._inmate.restless:
            seconds = min(seconds or _RESTLESS, _RESTLESS)
        self._poll.poll(None if seconds is None else seconds * 1000)
        self._wishes.heard()
        self._box.hear()

    @property
    def _dead(self) -> bool:
        """Is the container over?"""
        return self._inmate is None or self._inmate.dead()

    def _obey(self) -> float | None:
        """Returns when to be called again."""
        if self._wishes.kill:
            self._kill()
            return self._kill_again.next()
        if self._wishes.terminate:
            self._wishes.terminate = False
            self._asked = True
            if self._inmate is not None and not self._inmate.terminate():
                self._wishes.terminate = True  # the Engine is away
                return self._kill_again.next()
            if self._inmate is not None and self._inmate.resume():
                say(f"the container of {self._title} was paused; it goes on, for it is to end")
        return None

    def _kill(self) -> None:
        self._killed = True
        if self._inmate is not None:
            self._inmate.kill()

    def _left(self) -> "list[procs.Proc]":
        return [] if self._inmate is None else self._inmate.left()

    def _until_left_is_gone(self, deadline: float) -> None:
        pause = Pause(0.02, 0.5)
        while not self._dead and not self._wishes.kill:
            left = self._left()
            now = time.monotonic()
            if not left:
                return
            if now >= deadline:
                named = loglines.named(left)
                say(f"SIGKILL to {named}: still there {self._grace:g} s after SIGTERM")
                self._wishes.kill = True
                return
            self._wait(min(pause.next(), deadline - now))

    def _until(self, deadline: float) -> None:
        while not self._dead and not self._wishes.kill and (rest := deadline - time.monotonic()) > 0:
            self._wait(rest)

    # ------------------------------------------------------------------ endings

    def _state(self) -> "Message":
        """As the Engine knows it. Raises Away, Refusal."""
        return state_of(self._engine.ask("GET", f"{self._path}/json", within=_SOON))

    def _judge(self, code: int) -> "Message":
        """The command's own end, and what somebody else had to do with it."""
        outcome = ended_by(code)
        if outcome["how"] != "signaled" or self._asked or self._killed:
            return outcome
        if outcome["signal"] == signal.SIGKILL and self._inmate is not None and self._inmate.out_of_memory():
            outcome |= {"oom": True, "why": "out of memory"}
        elif outcome["signal"] == signal.SIGTERM:  # what an Engine that is stopped sends to all
            try:
                self._state()
            except Refusal:
                pass
            except Away:
                return {"how": "lost", "reason": ENGINE_GONE}
        return outcome

    def _autopsy(self) -> "Message":
        """The container is over, and its command never told."""
        state = self._last_state()
        if self._killed:
            return {"how": "signaled", "signal": int(signal.SIGKILL)}
        if isinstance(state, str):
            return {"how": "lost", "reason": state}
        code = cast("int", state.get("ExitCode", 137))
        if not self._box.begun and not self._asked:
            return {"how": "not_started", "reason": self._last_words() or str(state.get("Error") or code)}
        outcome = ended_by(code)
        if state.get("OOMKilled"):
            return outcome | {"oom": True, "why": "out of memory"}
        if not self._asked:
            return outcome | {"why": "the container was ended by somebody else"}
        return outcome

    def _last_state(self) -> "Message | str":
        """What the Engine knows, or what it means that it knows nothing.

        Somebody who removes a container kills it first, so it is looked at for a while.
        """
        pause = Pause()
        deadline = time.monotonic() + _AUTOPSY
        seen: Message | str = ENGINE_GONE
        while (now := time.monotonic()) < deadline:
            try:
                state = self._state()
                if not lives(state):
                    if self._killed or not self._box.begun or state.get("ExitCode") != _KILLED:
                        return state
                    if isinstance(seen, str):
                        deadline = now + _TO_BE_REMOVED
                    seen = state
            except Refusal as refusal:
                return REMOVED if refusal.status == 404 else refusal.text
            except Away:
                pass
            self._wait(min(pause.next(), 0.5))
        return seen

    def _last_words(self) -> str:
        """What the container itself said; not the command, whose output goes another way."""
        try:
            path = f"{self._path}/logs?stdout=1&stderr=1&tail=5"
            data = self._engine.fetch("GET", path, within=_SOON)
        except (Away, Refusal):
            return ""
        return b" ".join(part for _, part in Streams().feed(data)).decode("utf-8", "replace").strip()


def _open_word(folder: str) -> int:
    """Hung up to tell the agent that it need not wait to hear; -1 if it does not."""
    try:
        return os.open(f"{folder}/{WORD}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return -1

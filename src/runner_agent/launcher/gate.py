"""A command in a container that waits behind a gate: what it is, and how the Engine is asked for it."""

import os
import socket

from runner_agent.launcher.engine import STRANGE, Engine, Refusal, Streams
from runner_agent.launcher.wire import Message, cast, parse

TASK, PIPE, SCRIPT = "plan", "out", "script"
"""In the run's folder: what is to be done. In the container's: the command's output, and its script."""
READY, GO = b"runner-agent: ready\n", b"go\n"
_GATE = (
    "echo 'runner-agent: ready'; IFS= read -r %(word)s; "
    '[ "$%(word)s" = go ] || exit 125; unset %(unset)s; umask 022; '
    'exec "$2" -c "$3" </dev/null >"$1" 2>&1'
)
"""For FIFO, shell and script. Of the command's own variables it touches only those to be unset."""
_TO_BEGIN = 60.0
"""Seconds for a started gate to say that it waits."""
_LONGEST = 1000
"""Characters of what is not understood that a message shows."""
PREFIX = "RA_"
"""Of the command's variables in our own environment: none of them is to be understood by this program."""


class CannotAttend(Exception):
    """Why the command does not run, in words for its user."""


class Task:
    """What is to be run where, as the executor put it into the run's folder."""

    def __init__(self, folder: str) -> None:
        """Raises OSError, and KeyError for what this program did not write."""
        with open(f"{folder}/{TASK}", "rb") as file:
            told = parse(file.read())
        self.engine = str(told["engine"])
        self.container = str(told["container"])
        self.name = str(told["name"])
        self.init = cast("int", told["init"])
        self.init_start = cast("int", told["init_start"])
        self.user = str(told["user"])
        self.cwd = str(told["cwd"])
        self.shell = str(told["shell"])
        self.script = str(told["script"])
        self.unset = [str(name) for name in cast("list[object]", told["unset"])]
        self.place = str(told["place"])
        self.output = str(told["output"])
        self.target = str(told["target"])
        self.run_id = str(told["run_id"])
        self.title = str(told["title"])
        self.grace = cast("float", told["grace"])


def at_gate(task: Task) -> tuple[str, socket.socket]:
    """The Engine's id of the command, and its stdin, once its gate waits there for a word.

    Raises CannotAttend, Away, Refusal.
    """
    engine = Engine(task.engine)
    env = [f"{name[len(PREFIX) :]}={value}" for name, value in os.environ.items() if name.startswith(PREFIX)]
    word = "runner_agent_" + "".join(filter(str.isalnum, task.run_id))  # nobody else's
    unset = [word, *filter(str.isidentifier, filter(str.isascii, task.unset))]
    gate = _GATE % {"word": word, "unset": " ".join(unset)}
    command = ["/bin/sh", "-c", gate, "sh", f"{task.place}/{PIPE}", task.shell, task.script]
    told: Message = {"User": task.user, "WorkingDir": task.cwd, "Env": env, "Cmd": command}
    told |= {"AttachStdin": True, "AttachStdout": True, "AttachStderr": True}
    made = engine.ask("POST", f"/containers/{task.container}/exec", told)
    id_ = made.get("Id")
    if not isinstance(id_, str):
        raise Refusal(
            STRANGE, "the Docker Engine's answer is not understood: it made a command without an Id"
        )
    line, data = engine.hijack(f"/exec/{id_}/start", {"Detach": False, "Tty": False})
    streams = Streams()
    said = b""
    line.settimeout(_TO_BEGIN)
    while True:
        said += b"".join(part for _, part in streams.feed(data))
        if said.endswith(READY):
            line.settimeout(None)
            return id_, line
        try:
            data = line.recv(1 << 16)
        except TimeoutError:
            line.close()
            raise CannotAttend(f"{task.name} did not start it within {_TO_BEGIN:g} s") from None
        if not data:
            line.close()
            raise CannotAttend(_plainly(said.decode("utf-8", "replace"), task))


def _plainly(said: str, task: Task) -> str:
    """What the Engine and its runtime say when they cannot start a command, in our words where we know."""
    said = " ".join(said.replace(READY.decode(), "").split())[:_LONGEST]
    low = said.lower()
    if "chdir to cwd" in low or "working directory" in low:
        return f"cannot enter the working directory {task.cwd} in {task.name}: {said}"
    if "unable to find user" in low or "no matching entries in passwd" in low:
        return f"{task.name} has no user {task.user!r}"
    return f"{task.name} did not start it: {said or 'it ended without a word'}"

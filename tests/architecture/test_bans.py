"""What may be named where. import-linter draws the floors; these bans are about single things."""

from __future__ import annotations

import fnmatch
import sys
from dataclasses import dataclass

import pytest

from tests.architecture.source import Module, modules

EVERYWHERE = ("",)


@dataclass(frozen=True)
class Ban:
    """`things` (full names, with * for any rest) may be named in `only` and nowhere else below `below`."""

    why: str
    things: tuple[str, ...]
    only: tuple[str, ...] = ()
    below: tuple[str, ...] = EVERYWHERE

    def broken_by(self, module: Module) -> list[str]:
        if module.within(*self.only) or not (self.below == EVERYWHERE or module.within(*self.below)):
            return []
        return sorted(
            f"{module.place}:{line}: {name}"
            for line, name in set(module.mentions())
            if any(fnmatch.fnmatchcase(name, thing) for thing in self.things)
        )


NOW = ("time.time*", "time.monotonic*", "time.clock_gettime*", "*datetime.now", "*datetime.utcnow", "*.today")
CHANCE = ("uuid.uuid*", "random.*", "secrets.token_*", "os.urandom")
SPAWNS = ("subprocess.*", "os.fork*", "os.exec*", "os.spawn*", "os.posix_spawn*", "os.system", "os.popen")

BANS = (
    Ban("time and chance are handed in", (*NOW, *CHANCE), below=("core", "model", "reconcile", "store")),
    Ban("kit has one clock", NOW, below=("kit",), only=("kit/clock.py",)),
    Ban(
        "one reader of settings; the others ask what systemd, the terminal or a child's parent has to say",
        ("os.environ", "os.environ.*", "os.environb", "os.getenv", "os.putenv"),
        only=(
            *("daemon/settings", "client/addresses"),
            *("daemon/run", "daemon/journal", "cli/terminal", "cli/agent_process"),
            *("executors/machine", "launcher"),
        ),
    ),
    Ban(
        "signals are sent by pidfd after boot id, pid and start time were checked",
        ("os.kill", "os.killpg", "signal.pthread_kill"),
        only=("launcher",),
    ),
    Ban(
        "commands are started by executors and the launcher; `up` starts an agent, and an agent itself anew, "
        "once it has asked; process 1 makes room for a smaller one; an installation asks systemd",
        (*SPAWNS, "asyncio.create_subprocess_*", "anyio.run_process", "anyio.open_process"),
        only=(
            *("executors", "launcher", "daemon/run", "daemon/reload"),
            *("cli/agent_process", "cli/first_process", "cli/installation"),
        ),
    ),
    Ban(
        "no Any past the borders",
        ("typing.Any",),
        below=("kit", "model", "core", "control", "reconcile"),
    ),
    Ban("Docker behind its executor", ("aiodocker*",), only=("executors/docker", "executors/devcontainer")),
    Ban(
        "JSON that others can write is read where what nests too deeply is a ValueError, too",
        ("json.load", "json.loads", "json.JSONDecoder*", "json.decoder*"),
        only=(
            "kit/reading",
            "launcher/wire",
            "control/automations_json",
            "daemon/settings_values",
            "store/codec",
        ),
    ),
    Ban("SQLite behind its store", ("sqlite3*",), only=("store/sqlite", "store/schema")),
    Ban("protobuf at the wire", ("google.*",), only=("api",)),
    Ban("HTTP server at the borders", ("starlette*", "uvicorn*"), only=("api", "web", "daemon")),
    Ban("terminal at the command line", ("click", "click.*", "rich", "rich.*"), only=("cli",)),
)


@pytest.mark.parametrize("ban", BANS, ids=lambda ban: ban.why)
def test_ban_holds(ban: Ban) -> None:
    assert [found for module in modules() for found in ban.broken_by(module)] == []


def test_launcher_is_standard_library_only() -> None:
    """It runs under `python -I -S`, and an upgrade under its feet must not hurt it."""
    foreign = [
        f"{module.place}:{line}: {name}"
        for module in modules()
        if module.floor == "launcher"
        for line, name in module.imports()
        if name.partition(".")[0] not in sys.stdlib_module_names
        and name != "runner_agent"  # its version
        and not name.startswith("runner_agent.launcher")
    ]
    assert foreign == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("import time\ntime.time()", True),
        ("import time as t\nx = t.monotonic", True),
        ("from time import monotonic", True),
        ("from uuid import uuid4 as new\nnew()", True),
        ("def f():\n    import datetime\n    return datetime.datetime.now()", True),
        ("from datetime import datetime\ndatetime.now()", True),
        ("from datetime import datetime\ndef f(now: datetime) -> datetime: return now", False),
        ("def f(clock): return clock.now()", False),
        ("'time.time()'", False),
    ],
)
def test_the_first_ban_sees_every_spelling(line: str, told: bool) -> None:
    assert bool(BANS[0].broken_by(Module("core/plan.py", line))) is told
    assert not BANS[0].broken_by(Module("executors/machine.py", line))

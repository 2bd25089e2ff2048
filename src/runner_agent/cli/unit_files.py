"""The files in systemd/, as they are installed: found beside the package, filled in with where things are."""

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import runner_agent

AGENT, LAUNCHER, SCOPE = "runner-agent.service", "runner-agent-launcher.service", "runner-agent-runs.scope"
PREBUILD, TRIGGER = "runner-agent-prebuild.service", "runner-agent-trigger@.service"
ONCE = "runner-agent-trigger@postEnvironmentStart.service.d/once.conf"
UNITS = (AGENT, LAUNCHER, TRIGGER, ONCE, PREBUILD)

_PLAIN = re.compile(r"[A-Za-z0-9_@/.:,+-]+")
_PLACE = re.compile("@([A-Z]+)@")


@dataclass(frozen=True, slots=True)
class Program:
    """Where the program is: its command, its interpreter, the folder that holds the package, and the one that
    holds units and their scripts.
    """

    command: tuple[str, ...]
    python: Path
    source: Path
    share: Path

    def moved(self, here: Path, there: Path) -> "Program":
        """As it will be when what is below `here` has gone to `there`: for packages made elsewhere."""

        def move(path: Path) -> Path:
            return there / path.relative_to(here) if path.is_relative_to(here) else path

        first, *rest = self.command
        return Program(
            (str(move(Path(first))), *rest), move(self.python), move(self.source), move(self.share)
        )


def this_program() -> Program:
    """The one that runs now. Raises FileNotFoundError where the package came without its units."""
    package = Path(runner_agent.__file__).resolve().parent
    shipped, checkout = package / "systemd", package.parents[1] / "systemd"
    share = next((folder for folder in (shipped, checkout) if (folder / AGENT).exists()), None)
    if share is None:
        raise FileNotFoundError(2, "the units are missing; install runner-agent from a wheel", str(shipped))
    # Not resolved: the interpreter of a virtual environment is a link that knows whose it is by its place.
    python = Path(sys.executable)
    script = python.with_name("runner-agent")
    command = (str(script),) if script.exists() else (str(python), "-P", "-m", "runner_agent")
    return Program(command, python, package.parent, share)


def filled_in(template: Path, program: Program) -> str:
    """The text of a unit. Paths are quoted as systemd wants them."""
    values: Mapping[str, str] = {
        "PROGRAM": " ".join(_quoted(word) for word in program.command),
        "PYTHON": _quoted(str(program.python)),
        "SOURCE": _quoted(str(program.source)),
    }
    # A path that needs quotes is quoted with what is put behind it.
    text = re.sub(
        r"@SHARE@(/[\w-]+)", lambda found: _quoted(f"{program.share}{found[1]}"), template.read_text()
    )
    return _PLACE.sub(lambda found: values.get(found[1], found[0]), text)


def _quoted(word: str) -> str:
    """One word of a command line or value in a unit: specifiers and variables stand for themselves."""
    escaped = word.replace("\\", "\\\\").replace("%", "%%")
    if _PLAIN.fullmatch(word):
        return escaped
    return '"' + escaped.replace('"', '\\"').replace("$", "$$") + '"'


def unit_files(program: Program, folder: PurePosixPath) -> Iterator[tuple[str, str]]:
    """Path and text of each unit, below `folder`."""
    source = this_program().share
    for name in UNITS:
        yield str(folder / name), filled_in(source / name, program)


def plain_file(name: str, values: Mapping[str, str] | None = None) -> str:
    """The text of one that is no unit."""
    text = (this_program().share / name).read_text()
    return _PLACE.sub(lambda found: (values or {}).get(found[1], found[0]), text)

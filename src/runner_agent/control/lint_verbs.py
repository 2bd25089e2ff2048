"""Commands of the vendor's tools in a script: those that nothing answers here."""

import re
from collections.abc import Iterator

from runner_agent.control.lint_scripts import Finding
from runner_agent.control.lint_shell import Statement, commands_in, unquoted
from runner_agent.control.vendor_verbs import verb_of

_TOOLS = ("gitpod", "ona", "gp")
_ANY = re.compile(r"\b(?:gitpod|ona|gp)\b")
_GUARDED = re.compile(r"(?:command -[vV]|which|type(?: -[a-zA-Z]+)?|hash) [\"']?(?:gitpod|ona|gp)\b")
_OLD = {
    "url": "a port is reached at http://localhost:PORT, which gitpod environment port open PORT prints",
    "ports": "let the command that waits loop until the port answers, or make it the service's ready",
    "await-port": "let the command that waits loop until the port answers, or make it the service's ready",
    "sync-await": "let the task list the other one under dependsOn",
    "sync-done": "let the other task list this one under dependsOn",
    "env": "set the variable in the command",
}


def refused_verbs(script: str) -> Iterator[Finding]:
    """Each once. A script that asks first whether the tool is there is left alone."""
    if not _ANY.search(script) or _GUARDED.search(script):
        return
    told: set[str] = set()
    for statement in commands_in(script):
        tool, words = _asked(statement)
        if tool == "gp":
            said = " ".join((tool, *words[:1]))
            cure = _OLD.get(words[0] if words else "", "leave it out")
            message = f"'{said}': gp belongs to .gitpod.yml and is not there; {cure}"
        elif tool and verb_of(words)[0] is None:
            said = " ".join((tool, *(word for word in words[:3] if not word.startswith("-"))))
            message = (
                f"'{said}' is refused (exit code 2) unless the vendor's own {tool} is on PATH: what is"
                f" answered here is {tool} automations and {tool} environment port open; leave it out, or let"
                " it fail: || true"
            )
        else:
            continue
        if said not in told:
            told.add(said)
            yield Finding("refused-verb", statement.line, message)


def _asked(statement: Statement) -> tuple[str, list[str]]:
    """The tool, "" for any other, and what it is asked for."""
    command = [*statement.command]
    if not command or command[0] not in _TOOLS:
        return "", []
    plain = [word for word in command[1:] if not re.match(r"[0-9]*[<>]", word)]
    return command[0], [unquoted(word) for word in plain]

"""Commands of the vendor's tools in a script: those that nothing answers here."""

import re
from collections.abc import Iterator

from runner_agent.control.lint_scripts import Finding
from runner_agent.control.lint_shell import Statement, commands_in, run_by
from runner_agent.control.lint_words import unquoted
from runner_agent.control.vendor_verbs import Verb, commands_instead, verb_of

_TOOLS = ("gitpod", "ona", "gp")
_ANY = re.compile(r"\b(?:gitpod|ona|gp)\b")
_GUARDED = re.compile(r"(?:command -[vV]|which|type(?: -[a-zA-Z]+)?|hash) [\"']?(?:gitpod|ona|gp)\b")
_DEFINED = re.compile(r"\bfunction\s+(gitpod|ona|gp)\b|\b(gitpod|ona|gp)[ \t]*\([ \t]*\)")
"""A function of that name."""
_OLD = {
    "url": "a port is reached at http://localhost:PORT, which gitpod environment port open PORT prints",
    "ports": "let the command that waits loop until the port answers, or make it the service's ready",
    "await-port": "let the command that waits loop until the port answers, or make it the service's ready",
    "sync-await": "let the task list the other one under dependsOn",
    "sync-done": "let the other task list this one under dependsOn",
    "env": "set the variable in the command",
}


def refused_verbs(script: str) -> Iterator[Finding]:
    """Each once. What the script asks for first, defines itself or lets fail is left alone."""
    if not _ANY.search(script) or _GUARDED.search(script):
        return
    own = {name for found in _DEFINED.findall(script) for name in found}
    told: set[str] = set()
    for statement in commands_in(script):
        tool, words = _asked(statement)
        if not tool or tool in own or statement.guarded:
            continue
        said, message = _refused(tool, words)
        if message and said not in told:
            told.add(said)
            yield Finding("refused-verb", statement.line, message)


def _refused(tool: str, words: list[str]) -> tuple[str, str]:
    """How it is called, and the message; "" where it is answered."""
    if tool == "gp":
        said = " ".join((tool, *words[:1]))
        cure = _OLD.get(words[0] if words else "", "leave it out")
        return said, f"'{said}': gp belongs to .gitpod.yml and is not there; {cure}"
    said = " ".join((tool, *(word for word in words[:3] if not word.startswith("-"))))
    verb, rest = verb_of(words)
    there = f"what is answered here is {tool} automations and {tool} environment port open"
    if verb is Verb.AUTOMATIONS:
        known = commands_instead(rest)
        there = f"there is: {', '.join(known)}" if known else ""
    elif verb is not None:
        there = ""
    message = (
        f"'{said}' is refused (exit code 2) unless the vendor's own {tool} is on PATH: {there}; leave it out,"
        " or let it fail: || true"
    )
    return said, message if there else ""


def _asked(statement: Statement) -> tuple[str, list[str]]:
    """The tool, "" for any other, and what it is asked for."""
    command = statement.command
    if command[:1] == (")",):  # of `f() {` and of a case
        command = Statement(statement.line, command[1:]).command
    command = run_by(command)
    tool = unquoted(command[0]) if command else ""
    if tool not in _TOOLS:
        return "", []
    plain = [word for word in command[1:] if not re.match(r"[0-9]*[<>]", word)]
    return tool, [unquoted(word) for word in plain]

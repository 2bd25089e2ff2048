"""Which tools a script prepares for, and which it needs prepared: `npm ci` and `npm run dev`."""

import posixpath
import re
from collections.abc import Iterator

from runner_agent.control.lint_shell import statements
from runner_agent.control.lint_words import unquoted
from runner_agent.model.frozen import dataclass


@dataclass(frozen=True, slots=True)
class _Tools:
    prepare: re.Pattern[str]
    need: re.Pattern[str]


def _tools(prepare: str, need: str) -> _Tools:
    return _Tools(re.compile(prepare), re.compile(need))


_BUILT_IN = r" (?:-\w+ )*(?:-c |-m (?:http\.server|venv|json\.tool)\b)"
"""Of Python, what needs nothing installed."""
_FAMILIES = (
    _tools(
        r"(?:npm|pnpm|bun)(?: .*)? (?:ci|i|install)(?: |$)|(?:yarn|lerna bootstrap)(?: install|$)",
        r"(?:npm|npx|pnpm|pnpx|yarn|bun|bunx|node|next|vite|turbo|nx|ng|nodemon|ts-node|tsx)(?: |$)",
    ),
    _tools(
        r"(?:python[0-9.]* -m )?(?:pip[0-9.]*|pipx) .*\binstall\b|uv (?:sync|pip install|venv)"
        r"|poetry (?:.* )?install|pipenv (?:install|sync)|conda (?:env|install|create)",
        rf"(?:\S*/)?(?:python[0-9.]*(?!{_BUILT_IN})|uvicorn|gunicorn|flask|celery|streamlit|jupyter"
        r"|django-admin|fastapi|hypercorn)(?: |$)|(?:poetry|uv|pipenv) run|(?:\./)?manage\.py",
    ),
    _tools(
        r"bundle(?: .*)? install|bundle$|(?:\./)?bin/setup",
        r"(?:\./)?bin/(?:rails|dev|rake)|bundle exec|rails |puma|rackup",
    ),
    _tools(r"composer (?:.* )?(?:install|update)", r"php |(?:\./)?artisan|symfony "),
    _tools(r"cargo (?:.* )?(?:build|fetch)", r"(?:\./)?target/"),
    _tools(r"mix deps\.get", r"mix |iex "),
    _tools(
        r"(?:\./)?(?:mvnw?|gradlew?)(?: .*)? (?:package|install|assemble|bootJar|build)(?: |$)",
        r"java .*-jar",
    ),
    _tools(r"dotnet (?:publish|build)", r"dotnet \S+\.dll"),
)
_WAITS = re.compile(r"\b(?:until|while|wait-for\S*|wait-on|wait_for\S*|dockerize|automations|flock)\b")

_TURNS = re.compile(r"\)|(?:pushd|popd)$")
"""What leads back to a folder of before: a subshell's end, too."""
_OTHER = re.compile(r" (?:--prefix|--cwd|--dir|--directory|--project|-C)\b")


def prepares(task: str, service: str) -> str:
    """What `task` runs that `service` needs done before, such as `npm ci`; "" if nothing, or if it does the
    same itself, waits, or is about another folder.
    """
    if _WAITS.search(service):
        return ""
    done, needs = [*_placed(task)], [*_placed(service)]
    for family in _FAMILIES:
        if any(family.prepare.match(text) for text, _ in needs):
            continue
        places = [place for text, place in needs if family.need.match(text)]
        for text, place in done:
            if family.prepare.match(text) and not all(_apart(place, other) for other in places):
                return f"'{text}'" if len(text) <= 40 and "=" not in text else f"'{text.split()[0]}'"
    return ""


def _placed(script: str) -> Iterator[tuple[str, str | None]]:
    """The commands, each with the folder that `cd` has led to, None where that cannot be told."""
    found = statements(script)
    place: str | None = None if any(_TURNS.match(statement.words[0]) for statement in found) else "."
    for statement in found:
        command = statement.command
        if command[:1] != ("cd",):
            yield statement.text, None if _OTHER.search(statement.text) else place
        elif place is not None:
            to = unquoted(command[1]) if len(command) == 2 else "-"
            unknown = to == "-" or re.search("[$`~]", to)
            to = posixpath.normpath(posixpath.join(place, to))
            place = None if unknown or to.startswith("..") else to


def _apart(place: str | None, other: str | None) -> bool:
    """Two folders, neither of them within the other."""
    if place is None or other is None or "." in {place, other}:
        return False
    if place.startswith("/") != other.startswith("/"):  # nobody knows where the workspace is
        return False
    return posixpath.commonpath((place, other)) not in {place, other}

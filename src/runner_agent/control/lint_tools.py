"""Which tools a script prepares for, and which it needs prepared: `npm ci` and `npm run dev`."""

import re

from runner_agent.control.lint_shell import statements
from runner_agent.model.frozen import dataclass


@dataclass(frozen=True, slots=True)
class _Tools:
    prepare: re.Pattern[str]
    need: re.Pattern[str]


def _tools(prepare: str, need: str) -> _Tools:
    return _Tools(re.compile(prepare), re.compile(need))


_FAMILIES = (
    _tools(
        r"(?:npm|pnpm|bun)(?: .*)? (?:ci|i|install)(?: |$)|(?:yarn|lerna bootstrap)(?: install|$)",
        r"(?:npm|npx|pnpm|pnpx|yarn|bun|bunx|node|next|vite|turbo|nx|ng|nodemon|ts-node|tsx)(?: |$)",
    ),
    _tools(
        r"(?:python[0-9.]* -m )?(?:pip[0-9.]*|pipx) .*\binstall\b|uv (?:sync|pip install|venv)"
        r"|poetry (?:.* )?install|pipenv (?:install|sync)|conda (?:env|install|create)",
        r"(?:\S*/)?(?:python[0-9.]*|uvicorn|gunicorn|flask|celery|streamlit|jupyter|django-admin|fastapi|hypercorn)"
        r"(?: |$)|(?:poetry|uv|pipenv) run|(?:\./)?manage\.py",
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


def prepares(task: str, service: str) -> str:
    """What `task` runs that `service` needs done before, such as `npm ci`; "" if nothing, or if it does the
    same itself or waits.
    """
    if _WAITS.search(service):
        return ""
    done = [statement.text for statement in statements(task)]
    needs = [statement.text for statement in statements(service)]
    for family in _FAMILIES:
        made = next((text for text in done if family.prepare.match(text)), "")
        if not made or any(family.prepare.match(text) for text in needs):
            continue
        if any(family.need.match(text) for text in needs):
            return f"'{made}'" if len(made) <= 40 and "=" not in made else f"'{made.split()[0]}'"
    return ""

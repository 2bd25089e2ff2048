"""Where secrets are and which of them every run is given, as settings (rules 5.2, 5.6)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner_agent.daemon.settings import ServeOptions, load
from runner_agent.daemon.settings_secrets import folders
from runner_agent.model.errors import InvalidArgument

if TYPE_CHECKING:
    from runner_agent.daemon.settings import Settings

ID = "11111111-1111-4111-8111-111111111111"


def loaded(tmp_path: Path, text: str = "", **environ: str) -> Settings:
    config = tmp_path / "config.yaml"
    config.write_text(text)
    options = ServeOptions(state_dir=tmp_path, workspace=tmp_path, config=config)
    return load(options, environ, 1000)


def asked(settings: Settings) -> list[str]:
    return [str(one.place("ID")) for one in folders(settings.secrets, settings.credentials)]


def test_folders_by_scope_and_credentials_behind_them(tmp_path: Path) -> None:
    text = "secrets:\n  organization: /etc/o\n  user: /home/u\n"
    settings = loaded(tmp_path, text, CREDENTIALS_DIRECTORY=str(tmp_path))
    assert asked(settings) == [
        "/home/u/id",
        f"{tmp_path}/runner-agent.user_id",
        f"{tmp_path}/runner-agent.project_id",
        "/etc/o/id",
        f"{tmp_path}/runner-agent.organization_id",
    ]
    assert asked(loaded(tmp_path, text)) == ["/home/u/id", "/etc/o/id"]
    assert asked(loaded(tmp_path, "", CREDENTIALS_DIRECTORY="/never/made")) == []


def test_the_same_by_environment_variables(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        RUNNER_AGENT_SECRETS="user=/a b, project=/c",
        RUNNER_AGENT_SECRET_ENVIRONMENT=f"TOKEN={ID}",
    )
    assert settings.secrets == {"user": "/a b", "project": "/c"}
    assert settings.secret_environment == {"TOKEN": ID}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("secrets: {team: /x}", "'team' is not a scope; scopes are user, project, organization"),
        ("secrets: {user: hunter2}", "must name the absolute path of the folder for user"),
        ("secrets: [/x]", "must be a map, not a list"),
        ("secrets: {user: 1}", "must name the absolute path of the folder for user"),
        ("secret_environment: {'A=B': " + ID + "}", "'A=B' is no name of a variable"),
        ("secret_environment: {A: hunter2}", "must give A the id of a secret"),
    ],
)
def test_what_cannot_be_meant_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        loaded(tmp_path, text)
    assert told in str(refused.value)
    assert "hunter2" not in str(refused.value), "it may be a secret, put where its id belongs"

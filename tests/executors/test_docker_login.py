"""Private registries: what `docker login` has left, in its file or with its helpers."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from runner_agent.executors.docker_login import login, registry_of, with_registry

if TYPE_CHECKING:
    from pathlib import Path

USUAL = "https://index.example.com/v1/"
ME = base64.b64encode(b"me:pass:word").decode()


@pytest.mark.parametrize(
    ("image", "registry", "whole"),
    [
        ("busybox", "docker.io", "docker.io/busybox"),
        ("me/app:1", "docker.io", "docker.io/me/app:1"),
        ("docker.io/me/app", "docker.io", "docker.io/me/app"),
        ("registry.example.com/app", "registry.example.com", "registry.example.com/app"),
        ("localhost/app", "localhost", "localhost/app"),
        ("localhost:5000/me/app@sha256:0", "localhost:5000", "localhost:5000/me/app@sha256:0"),
    ],
)
def test_the_registry_in_a_name(image: str, registry: str, whole: str) -> None:
    assert (registry_of(image), with_registry(image)) == (registry, whole)


@pytest.mark.parametrize(
    ("image", "known"),
    [
        ("me/app", USUAL),
        ("r.example.com/app", "r.example.com"),
        ("r.example.com/app", "https://r.example.com/v2/"),
    ],
)
async def test_a_login_in_the_file(scratch: Path, image: str, known: str) -> None:
    (scratch / "config.json").write_text(json.dumps({"auths": {known: {"auth": ME}}}))
    found = await login(image, scratch, USUAL)
    assert found is not None
    assert (found["username"], found["password"]) == ("me", "pass:word")


@pytest.mark.parametrize(
    "config",
    [
        "",
        "no json",
        "[]",
        "[" * 5000,
        '{"credsStore": "a\\u0000b"}',
        '{"auths": {"r.example.com": {}}}',
        '{"auths": {"r.example.com": {"auth": "%"}}}',
    ],
)
async def test_who_is_not_known_there(scratch: Path, config: str) -> None:
    (scratch / "config.json").write_text(config)
    assert await login("r.example.com/app", scratch, USUAL) is None
    assert await login("r.example.com/app", scratch / "nowhere", USUAL) is None


async def test_a_login_with_a_helper(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = scratch / "docker-credential-vault"
    told = {"Username": "<token>", "Secret": "t0ken"}
    helper.write_text(
        f"#!/bin/sh\nread -r key; [ \"$1 $key\" = 'get r.example.com' ] && echo '{json.dumps(told)}'\n"
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{scratch}:/usr/bin:/bin")
    config = {"credHelpers": {"r.example.com": "vault", "other.example.com": "missing"}}
    (scratch / "config.json").write_text(json.dumps(config))
    assert await login("r.example.com/app", scratch, USUAL) == {
        "identitytoken": "t0ken",
        "serveraddress": "r.example.com",
    }
    assert await login("other.example.com/app", scratch, USUAL) is None

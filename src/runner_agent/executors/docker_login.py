"""How to log in to an image's registry: as `docker login` has left it for the agent's user."""

import asyncio
import base64
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import cast

from runner_agent.kit.reading import value_of
from runner_agent.kit.signals import unblock

_HUB = "docker.io"
_HELPER_WITHIN = 30.0
"""Seconds for a credential helper to answer."""

Login = dict[str, str]


def registry_of(image: str) -> str:
    """The host in an image's name; the usual one where none is named."""
    host, slash, _ = image.partition("/")
    return host if slash and (set(".:") & set(host) or host == "localhost") else _HUB


def with_registry(image: str) -> str:
    """The image's name with its registry."""
    return image if registry_of(image) != _HUB or image.startswith(f"{_HUB}/") else f"{_HUB}/{image}"


async def login(image: str, folder: Path, usual: str) -> Login | None:
    """What the Engine takes for it; None for who is not known there. `folder` is that of `config.json`.

    `usual` is the address under which logins to the registry are kept that names without one mean. From an
    Engine that does not say, such as Podman, it is "", and the registry's own name is looked for.
    """
    try:
        config = _object(value_of((folder / "config.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
    registry = registry_of(image)
    key = usual if usual and registry == _HUB else registry
    helper = _object(config.get("credHelpers")).get(key) or config.get("credsStore")
    if helper and (told := await _asked(str(helper), key)):
        return told
    known = _object(config.get("auths"))
    names = (key, f"https://{key}", f"https://{key}/v1/", f"https://{key}/v2/")
    entry = _object(next((known[name] for name in names if name in known), None))
    if token := entry.get("identitytoken"):
        return {"identitytoken": str(token), "serveraddress": key}
    try:
        user, _, password = base64.b64decode(str(entry.get("auth") or "")).decode().partition(":")
    except ValueError:
        return None
    return {"username": user, "password": password, "serveraddress": key} if user else None


async def _asked(helper: str, key: str) -> Login | None:
    """By the protocol of credential helpers: the server on stdin, an object on stdout."""
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            f"docker-credential-{helper}",
            "get",
            stdin=pipe,
            stdout=pipe,
            stderr=asyncio.subprocess.DEVNULL,
            preexec_fn=unblock,
        )
    except (OSError, ValueError):  # none of that name, or one that no program can have
        return None
    try:
        async with asyncio.timeout(_HELPER_WITHIN):
            told, _ = await process.communicate(key.encode())
        found = _object(value_of(told) if process.returncode == 0 else None)
    except (TimeoutError, ValueError):
        return None
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    user, secret = str(found.get("Username", "")), str(found.get("Secret", ""))
    if user == "<token>":
        return {"identitytoken": secret, "serveraddress": key}
    return {"username": user, "password": secret, "serveraddress": key} if user else None


def _object(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else {}

"""A registry of images of the tests' own: a real one, on loopback, which Engines ask in plain http.

It is not among what Docker's tests need anyway: apt-get install docker-registry.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.support.machines import lacking
from tests.support.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.support.engine import Engine

USER, PASSWORD = "me", "open-sesame"
_HTPASSWD = f"{USER}:$2b$04$JblZqutZrlx8i4ufwmyTCuAckAk52Jp/sukdpbmg7qLCRPL6/HvvK\n"
_LISTENS = re.compile(r"listening on (127\.0\.0\.1:\d+)")
_SIZE = 8_000_000
"""Bytes of an image that no other image has: they are really pulled."""


@contextmanager
def registry(folder: Path, *, private: bool = False) -> Generator[str]:
    """Its address while it runs. A private one lets in USER only."""
    if shutil.which("docker-registry") is None:
        lacking("docker-registry not found: apt-get install docker-registry")
    settings: dict[str, object] = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": "127.0.0.1:0"},
    }
    if private:
        (folder / "htpasswd").write_text(_HTPASSWD)
        settings["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
    (folder / "config.yml").write_text(json.dumps(settings))
    told = folder / "log"
    with told.open("wb") as log:
        command = ["docker-registry", "serve", str(folder / "config.yml")]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_until(lambda: _LISTENS.search(told.read_text()), what="the registry listens")
        found = _LISTENS.search(told.read_text())
        assert found is not None
        yield found[1]
    finally:
        process.kill()
        process.wait()


def publish(engine: Engine, image: str) -> str:
    """Put an image of that name there (ADDRESS/NAME:TAG), and have it nowhere else; its name."""
    repository, _, tag = image.rpartition(":")
    script = f"head -c {_SIZE} /dev/urandom >/ballast"
    made = engine.container(
        "to-be-published", {"Image": engine.image("busybox:test"), "Cmd": ["sh", "-c", script]}
    )
    engine.request("POST", f"/containers/{made}/wait")
    engine.request("POST", f"/commit?container={made}&repo={repository}&tag={tag}", {})
    engine.remove(made)
    who = {"username": USER, "password": PASSWORD, "serveraddress": image.partition("/")[0]}
    login = base64.urlsafe_b64encode(json.dumps(who).encode()).decode()
    told = engine.request("POST", f"/images/{repository}/push?tag={tag}", login=login)[1]
    assert b'"error' not in told, told
    engine.request("DELETE", f"/images/{image}?force=1")
    return image


def log_in(folder: Path, address: str) -> None:
    """As `docker login` does, for whose settings are in the folder."""
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {address: {"auth": auth}}}))

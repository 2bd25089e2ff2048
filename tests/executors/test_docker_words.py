"""What is told of an Engine that will not, or cannot: in sentences that say what to do."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from runner_agent.executors.base import RunRequest
from runner_agent.executors.docker_engine import Layer
from runner_agent.executors.docker_pull import Progress
from runner_agent.executors.docker_words import away, cannot_pull, explained
from runner_agent.model.ids import Reference, RunId
from runner_agent.model.phases import RunRole
from runner_agent.model.specs import InDocker

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("write /var/lib/docker/x: no space left on device", "the Engine's disk is full"),
        ("no matching manifest for linux/amd64 in the manifest list entries", "not made for this machine"),
        ("exec /bin/sh: exec format error", "not made for this machine"),
        ("pull access denied for x, repository does not exist or may require 'docker login'", "docker login"),
        ('Head "https://r.example.com/v2/x/manifests/y": no basic auth credentials', "docker login"),
        ("manifest for x:y not found: manifest unknown", "check the image's name and tag"),
        ('Get "https://r.example.com/v2/": dial tcp: lookup r.example.com: no such host', "proxy"),
    ],
)
def test_advice_follows_the_words_of_the_registry(words: str, advice: str) -> None:
    told = cannot_pull("x:y", words)
    assert told.startswith(f"image x:y is not here and cannot be pulled: {words} (")
    assert advice in told


def test_a_missing_shell_is_named() -> None:
    for words in (
        "[FATAL tini (7)] exec /bin/sh failed: No such file or directory",
        "ERROR (catatonit:2): failed to exec pid1: No such file or directory",
        'OCI runtime create failed: exec: "/bin/sh": stat /bin/sh: no such file or directory: unknown',
    ):
        assert explained(words, "x:y").startswith("the shell /bin/sh is missing in image x:y")
    assert explained("something  else\n", "x:y") == "something else"


def test_an_engine_that_is_away() -> None:
    assert away("unix:///s", errno.ENOENT, "") == (
        "the Docker Engine at unix:///s cannot be reached: no such file or directory;"
        " start Docker, or set DOCKER_HOST"
    )
    assert "add the agent's user to the group of the socket" in away("unix:///s", errno.EACCES, "")


def test_a_pull_in_the_log_is_a_few_lines(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("runner_agent.executors.docker_pull.time.monotonic", lambda: now)
    waits: list[str] = []
    request = RunRequest(
        run_id=RunId("one"),
        role=RunRole.TASK,
        reference=Reference("build"),
        script="true",
        runs_on=InDocker("x:y"),
        env={},
        log=scratch / "log",
        output=scratch / "output",
        waits=waits.append,
    )
    with Progress("x:y", request) as progress:
        for step in range(1000):
            now = step / 100
            progress.note(Layer("a", "Downloading", step * 10_000, 10_000_000))
            progress.note(Layer("b", "Waiting"))
            progress.note(Layer("a", "Extracting", step * 1_000, 10_000_000))
    assert (scratch / "log").read_text().splitlines() == [
        "runner-agent: image x:y is not here; pulling it",
        "runner-agent: pulling x:y: 5 of 10 MB",
        "runner-agent: image x:y is here after 10.0 s",
    ]
    assert waits == ["image x:y is being pulled", "image x:y is being pulled: 5 of 10 MB", ""]

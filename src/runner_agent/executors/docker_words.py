"""The Engine's words made sentences for a user: what cannot be done, and what to do about it."""

import errno
import os

from runner_agent.launcher import engine

_ADVICE = (
    (("no space left on device",), "the Engine's disk is full: free some of it (docker system prune)"),
    (
        ("no matching manifest", "exec format error", "does not match the specified platform"),
        f"the image is not made for this machine ({os.uname().machine}): use one that is",
    ),
    (
        ("pull access denied", "unauthorized", "authentication required", "denied:", "no basic auth"),
        "check its name; if it is private, `docker login` as the agent's user",
    ),
    (("manifest unknown", "not found"), "check the image's name and tag"),
    (
        ("no such host", "i/o timeout", "connection refused", "network is unreachable", "tls", "x509"),
        "the registry cannot be reached from the Engine: check network and proxy, or the image's name",
    ),
)


_LONGEST, _LONGEST_STRANGE = 1000, 200
_NO_SHELL = ("exec /bin/sh failed: no such file", "failed to exec pid1: no such file")
"""In the words of tini and of Podman's catatonit."""
_INITS = ("docker-init", "catatonit")


def _plain(words: str) -> str:
    """In one line, and no whole page of whatever answered."""
    plain = " ".join(words.split())
    return plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST]}..."


def explained(words: str, image: str) -> str:
    """Words of the Engine about a container that cannot be made or begin."""
    plain = _plain(words)
    low = plain.lower()
    if any(mark in low for mark in _NO_SHELL) or (
        '"/bin/sh"' in low and ("no such file" in low or "not found" in low)
    ):
        return f"the shell /bin/sh is missing in image {image}: use an image that has one"
    if any(mark in low for mark in _INITS) and ("no such file" in low or "not found" in low):
        return f"the Engine lacks its init program: install {_INITS[0]}, or {_INITS[1]} for Podman ({plain})"
    return f"{plain}{_advice(low)}"


def cannot_pull(image: str, words: str) -> str:
    """Of an image that is not here and cannot be got."""
    plain = _plain(words)
    return f"image {image} is not here and cannot be pulled: {plain}{_advice(plain.lower())}"


def away(address: str, number: int | None, words: str) -> str:
    """Of an Engine that does not answer."""
    reason = os.strerror(number).lower() if number else words
    if number == errno.EACCES:
        advice = "add the agent's user to the group of the socket, or name another Engine by DOCKER_HOST"
    else:
        advice = "start Docker, or set DOCKER_HOST"
    return f"the Docker Engine at {address} cannot be reached: {reason}; {advice}"


def strange(address: str, what: str) -> str:
    """Of an answer that no Docker Engine would give: the same would come the next time."""
    return engine.strange(address, " ".join(what.split())[:_LONGEST_STRANGE])


def _advice(low: str) -> str:
    return next((f" ({advice})" for marks, advice in _ADVICE if any(mark in low for mark in marks)), "")

"""The Engine's words made sentences for a user: what cannot be done, and what to do about it."""

import errno
import os

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


_NO_SHELL = ("exec /bin/sh failed: no such file", "failed to exec pid1: no such file")
"""In the words of tini and of Podman's catatonit."""
_INITS = ("docker-init", "catatonit")


def explained(words: str, image: str) -> str:
    """Words of the Engine about a container that cannot be made or begin."""
    plain = " ".join(words.split())
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
    plain = " ".join(words.split())
    return f"image {image} is not here and cannot be pulled: {plain}{_advice(plain.lower())}"


def away(address: str, number: int | None, words: str) -> str:
    """Of an Engine that does not answer."""
    reason = os.strerror(number).lower() if number else words
    if number == errno.EACCES:
        advice = "add the agent's user to the group of the socket, or name another Engine by DOCKER_HOST"
    else:
        advice = "start Docker, or set DOCKER_HOST"
    return f"the Docker Engine at {address} cannot be reached: {reason}; {advice}"


def _advice(low: str) -> str:
    return next((f" ({advice})" for marks, advice in _ADVICE if any(mark in low for mark in marks)), "")

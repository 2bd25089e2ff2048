"""The page's files over ASGI: named by their contents, so kept by browsers for ever, and packed once.

They tell nothing: who is not signed in gets the same page, which then asks for a code.
"""

import gzip
import hashlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple, cast

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = tuple[tuple[str, str], ...]

ASSETS = "/assets/"
PAGE = "index.html"
DIGEST = "@digest@"
"""Stands in the page where the digest of all files goes: with any of them changed, all have new addresses."""

_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Only our own files run or are shown, and no text can become markup: the page builds it node by node."""

SAFETY: Headers = (
    ("content-security-policy", _POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
)
_FOR_EVER = "public, max-age=31536000, immutable"


class File(NamedTuple):
    """As it goes out. `packed` is the gzip of `body`."""

    kind: str
    caching: str
    etag: str
    body: bytes
    packed: bytes


class Site:
    """An ASGI application of the page and its files."""

    def __init__(self, sources: Mapping[str, bytes]) -> None:
        """By name; one of them is PAGE."""
        self.digest = _digest(*(part for name in sorted(sources) for part in (name.encode(), sources[name])))
        page = sources[PAGE].replace(DIGEST.encode(), self.digest.encode())
        self._files = {"/": _file(PAGE, page, "no-cache")} | {
            f"{ASSETS}{self.digest}/{name}": _file(name, body, _FOR_EVER)
            for name, body in sources.items()
            if name != PAGE
        }

    async def __call__(self, scope: Message, _: Receive, send: Send) -> None:
        """One request. Of a HEAD the server cuts the body."""
        sent = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in cast("list[tuple[bytes, bytes]]", scope["headers"])
        }
        status, headers, body = self.answer(str(scope["method"]), str(scope["path"]), sent)
        headers = (*headers, ("content-length", str(len(body)))) if status != 304 else headers
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in (*headers, *SAFETY)]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    def answer(self, verb: str, path: str, sent: Mapping[str, str]) -> tuple[int, Headers, bytes]:
        """Status, headers and body. `sent`: the request's headers, names in lower case."""
        text = (("content-type", "text/plain; charset=utf-8"), ("cache-control", "no-store"))
        if verb not in {"GET", "HEAD"}:
            return 405, (*text, ("allow", "GET, HEAD")), b"This is asked by GET.\n"
        file = self._files.get(path)
        if file is None:
            # The page of another version may still be open in some browser.
            return 404, text, b"There is no such file in this version: reload the page.\n"
        kept = (("etag", file.etag), ("cache-control", file.caching), ("vary", "accept-encoding"))
        if file.etag in [
            each.strip().removeprefix("W/") for each in sent.get("if-none-match", "").split(",")
        ]:
            return 304, kept, b""
        kind = ("content-type", file.kind)
        if "gzip" in sent.get("accept-encoding", "") and len(file.packed) < len(file.body):
            return 200, (*kept, kind, ("content-encoding", "gzip")), file.packed
        return 200, (*kept, kind), file.body


@cache
def site() -> Site:
    """Read when it is first asked for: a daemon that no browser visits holds nothing of it."""
    folder = files("runner_agent.web").joinpath("assets")
    return Site({each.name: each.read_bytes() for each in folder.iterdir() if "." in each.name})


def _file(name: str, body: bytes, caching: str) -> File:
    packed = gzip.compress(body, 6, mtime=0)
    return File(_TYPES[name.rpartition(".")[2]], caching, f'"{_digest(body)}"', body, packed)


def _digest(*parts: bytes) -> str:
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(part + b"\0")
    return hashed.hexdigest()[:16]

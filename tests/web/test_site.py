"""The page's files: kept for ever by browsers, nothing from outside, no way for a text to become a script."""

import gzip
import re
import subprocess
import sys
from importlib.resources import files

import pytest

from runner_agent.web.site import ASSETS, PAGE, Site, site
from tests.web.door import OURS, Door

SOURCES = {each.name: each.read_bytes() for each in files("runner_agent.web").joinpath("assets").iterdir()}
SENT = 60 * 1024
"""Bytes that a first visit takes."""
FILES = sorted(name for name in SOURCES if name != PAGE)


def path_of(name: str) -> str:
    return f"{ASSETS}{site().digest}/{name}"


# ---------------------------------------------------------------- over HTTP


async def test_the_page_is_there_for_who_is_not_signed_in(door: Door) -> None:
    reply = await door.ask("GET", "/")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"<title>runner-agent</title>" in reply.body


@pytest.mark.parametrize("path", ["/", path_of("app.js"), path_of("style.css"), "/assets/x/app.js"])
async def test_only_our_own_files_may_run_or_be_shown(door: Door, path: str) -> None:
    headers = (await door.ask("GET", path)).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert (
        policy["script-src"] == policy["style-src"] == policy["connect-src"] == policy["img-src"] == "'self'"
    )
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert (policy["require-trusted-types-for"], policy["trusted-types"]) == ("'script'", "'none'")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"


async def test_files_are_kept_for_ever_and_the_page_is_asked_for_anew(door: Door) -> None:
    page = await door.ask("GET", "/")
    assert page.headers["cache-control"] == "no-cache"
    script = await door.ask("GET", path_of("app.js"))
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    for path, reply in (("/", page), (path_of("app.js"), script)):
        etag = reply.headers["etag"]
        for known in (etag, f"W/{etag}", f'"other", {etag}'):
            again = await door.ask("GET", path, if_none_match=known)
            assert (again.status, again.body) == (304, b"")
        assert (await door.ask("GET", path, if_none_match='"other"')).status == 200


async def test_a_changed_file_has_another_address() -> None:
    changed = Site({**SOURCES, "dom.js": SOURCES["dom.js"] + b"\n"})
    assert changed.digest != site().digest
    status, _, page = changed.answer("GET", "/", {})
    assert (status, changed.digest in page.decode()) == (200, True)
    assert site().digest not in page.decode()


async def test_a_file_of_another_version_is_not_there(door: Door) -> None:
    for path in (
        "/assets/0123456789abcdef/app.js",
        f"{ASSETS}{site().digest}/../site.py",
        ASSETS,
        path_of(PAGE),
    ):
        reply = await door.ask("GET", path)
        assert (reply.status, reply.headers["cache-control"]) == (404, "no-store")


async def test_files_are_packed_for_who_can_unpack(door: Door) -> None:
    plain = await door.ask("GET", path_of("app.js"))
    packed = await door.ask("GET", path_of("app.js"), accept_encoding="gzip, deflate")
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert plain.headers["vary"] == packed.headers["vary"] == "accept-encoding"


async def test_the_page_is_there_over_the_socket_too(door: Door) -> None:
    """For a socket that was forwarded to where the browser is."""
    reply = await door.ask_socket("GET", "/", host="localhost:7780", accept_language="en")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")


async def test_the_page_is_for_get(door: Door) -> None:
    head = await door.ask("HEAD", "/")
    assert head.status == 200
    reply = await door.ask("POST", "/", {}, **OURS)
    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD")


# ---------------------------------------------------------------- what is in them


def test_a_visit_costs_little() -> None:
    assert sum(len(gzip.compress(body, 6)) for body in SOURCES.values()) < SENT


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_nothing_comes_from_outside(name: str) -> None:
    text = SOURCES[name].decode()
    known = {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert set(re.findall(r"https?://[\w.]+[\w/]*", text)) <= known
    assert not re.search(r"@import|url\(|sourceMappingURL", text)


SCRIPTS = [name for name in FILES if name.endswith(".js")]


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_text_can_become_markup_or_code(name: str) -> None:
    """The browser refuses it too (trusted types); here it is found before."""
    ways = (
        r"\b(innerHTML|outerHTML|insertAdjacentHTML|srcdoc|createContextualFragment|DOMParser)\b"
        r"|\bdocument\.write|\beval\b|\bnew Function\b|setTimeout\(\s*[\"'`]"
        r"|javascript:|\bon[a-z]+\s*:\s*[\"'`]"
    )
    assert re.findall(ways, SOURCES[name].decode()) == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_says_its_idea(name: str) -> None:
    assert SOURCES[name].startswith(b"// ")


def test_the_page_has_no_script_or_style_of_its_own() -> None:
    page = SOURCES[PAGE].decode()
    assert re.findall(r"<script[^>]*>([^<]*)</script>", page) == [""]
    assert not re.search(r"<style|\sstyle=|\son\w+=", page)


def test_all_that_is_named_is_there_and_all_that_is_there_is_named() -> None:
    named = set(re.findall(r"\"assets/@digest@/([\w.-]+)", SOURCES[PAGE].decode()))
    for name in SCRIPTS:
        named |= set(re.findall(r"from \"\./([\w-]+\.js)\"", SOURCES[name].decode()))
    assert named == set(FILES)


def test_the_token_is_kept_nowhere_in_the_browser() -> None:
    for name in SCRIPTS:
        assert not re.search(
            r"localStorage|sessionStorage|indexedDB|document\.cookie", SOURCES[name].decode()
        ), name


def test_a_daemon_that_nobody_visits_does_not_hold_the_page() -> None:
    program = (
        "import sys, runner_agent.daemon.wiring; "
        "sys.exit(any(name.startswith('runner_agent.web') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0

"""Signing a browser in, by a code that works once or by the token; foreign pages cannot use the cookie."""

from pathlib import Path

import pytest

from runner_agent.api.auth import BURST, PAGE_HEADER
from runner_agent.api.sessions import CODE_LIFETIME, LIFETIME, MOST_CODES, Sessions
from tests.api.world import AUTOMATION, TOKEN
from tests.web.door import HOST, METHOD, ORIGIN, OURS, Door, attributes_of, cookie_of

SESSION = "/session"


async def test_a_code_opens_the_api_by_a_cookie(door: Door) -> None:
    reply = await door.enter(await door.code())
    assert reply.json() == {"signedIn": True, "cookie": True}
    cookie = cookie_of(reply)
    assert (await door.ask("POST", METHOD, {}, cookie=cookie, **OURS)).status == 200
    assert (await door.ask("GET", SESSION, cookie=cookie)).json() == {"signedIn": True, "cookie": True}


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(door: Door) -> None:
    attributes = attributes_of(await door.enter(await door.code()))
    assert attributes == {"path": "/", "max-age": str(LIFETIME), "httponly": "", "samesite": "Strict"}


async def test_behind_https_the_cookie_never_leaves_by_http(door: Door) -> None:
    reply = await door.enter(await door.code(), host="agent.example", origin="https://agent.example")
    assert reply.status == 200
    assert "secure" in attributes_of(reply)


async def test_a_code_is_good_once(door: Door) -> None:
    code = await door.code()
    assert (await door.enter(code)).status == 200
    again = await door.enter(code)
    assert (again.status, again.code) == (401, "unauthenticated")
    assert "set-cookie" not in again.headers
    assert "runner-agent dashboard" in again.json()["message"]


async def test_a_code_expires(door: Door) -> None:
    early, late = await door.code(), await door.code()
    door.clock.advance(CODE_LIFETIME - 1)
    assert (await door.enter(early)).status == 200
    door.clock.advance(1)
    assert (await door.enter(late)).status == 401


async def test_codes_that_nobody_uses_do_not_heap_up(door: Door) -> None:
    first, second = await door.code(), await door.code()
    for _ in range(MOST_CODES - 1):
        await door.code()
    assert (await door.enter(first)).status == 401
    assert (await door.enter(second)).status == 200


async def test_the_token_signs_in_too(door: Door) -> None:
    assert (await door.enter(f" {TOKEN}\n")).status == 200


@pytest.mark.parametrize("secret", ["", "x", f"{TOKEN}x", TOKEN[:-1], "töken", "\ud800"])
async def test_what_is_wrong_is_refused_alike(door: Door, secret: str) -> None:
    reply = await door.enter(secret)
    assert (reply.status, reply.code) == (401, "unauthenticated")
    assert TOKEN not in reply.body.decode()


async def test_a_token_for_logs_signs_nobody_in(door: Door) -> None:
    assert (await door.enter(door.log_tokens.issue())).status == 401


async def test_guessing_is_slowed_and_the_right_one_still_passes(door: Door) -> None:
    statuses = [(await door.enter("guess")).status for _ in range(BURST + 2)]
    assert statuses == [401] * BURST + [429] * 2
    assert (await door.enter(await door.code())).status == 200


@pytest.mark.parametrize("body", [None, [], "code", {"code": 1}, {"token": "x"}])
async def test_a_malformed_sign_in_says_what_to_send(door: Door, body: object) -> None:
    reply = await door.ask("POST", SESSION, body, origin=ORIGIN, **OURS)
    assert (reply.status, reply.code) == (400, "invalid_argument")


async def test_codes_are_given_to_who_may_call_only(door: Door) -> None:
    assert (await door.ask("POST", "/session/code")).status == 401
    assert (await door.ask("POST", "/session/code", authorization=f"Bearer {TOKEN}")).status == 200
    assert (await door.ask("POST", "/session/code", **await door.browser())).status == 200


# ---------------------------------------------------------------- forged requests


async def test_the_cookie_alone_is_not_enough(door: Door) -> None:
    """A page of another port of this host is of the same site: SameSite lets its requests through."""
    headers = await door.browser()
    cookie = headers["cookie"]
    for verb, path in (("POST", METHOD), ("GET", METHOD), ("GET", "/metrics"), ("POST", "/session/code")):
        reply = await door.ask(verb, path, cookie=cookie)
        assert (reply.status, reply.code) == (401, "unauthenticated"), path


@pytest.mark.parametrize(
    "foreign",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:3000"},
        {"origin": "null"},
        {"host": "evil.example"},
        {"host": "evil.example", "origin": "http://evil.example"},
    ],
    ids=str,
)
async def test_foreign_pages_are_refused_with_cookie_and_header(door: Door, foreign: dict[str, str]) -> None:
    headers = await door.browser()
    for verb, path in (
        ("POST", METHOD),
        ("POST", SESSION),
        ("DELETE", SESSION),
        ("GET", "/"),
        ("GET", SESSION),
    ):
        reply = await door.ask(verb, path, {"code": TOKEN}, **{**headers, **foreign})
        assert (reply.status, reply.code) == (403, "permission_denied"), path


async def test_no_page_may_ask_across_origins(door: Door) -> None:
    """The header of ours makes a browser ask first (CORS), and nobody ever answers yes."""
    for origin in (ORIGIN, "http://127.0.0.1:3000"):
        asked = {"access-control-request-method": "POST", "access-control-request-headers": PAGE_HEADER}
        for path in (METHOD, SESSION, "/"):
            reply = await door.ask("OPTIONS", path, origin=origin, **asked)
            assert reply.status in {401, 403, 405}
            assert not any(name.startswith("access-control") for name in reply.headers)


async def test_signing_in_and_out_takes_the_header_too(door: Door) -> None:
    headers = await door.browser()
    code = await door.code()
    assert (await door.ask("POST", SESSION, {"code": code}, origin=ORIGIN)).status == 403
    assert (await door.ask("DELETE", SESSION, cookie=headers["cookie"])).status == 403
    assert (await door.ask("POST", METHOD, {}, **headers)).status == 200


async def test_nothing_changes_by_get(door: Door) -> None:
    headers = await door.browser()
    code = await door.code()
    for path in (f"{SESSION}?code={code}", "/session/code", f"/{AUTOMATION}/CreateService"):
        reply = await door.ask("GET", path.partition("?")[0], **headers)
        assert "set-cookie" not in reply.headers
        assert reply.status in {200, 405}
    assert (await door.enter(code)).status == 200


async def test_logs_open_by_a_link_of_our_page_only(door: Door) -> None:
    cookie = (await door.browser())["cookie"]
    sites = {"same-origin": 200, "none": 200, "same-site": 401, "cross-site": 401}
    for site, status in sites.items():
        reply = await door.ask("GET", "/logs/services/x", cookie=cookie, **{"sec-fetch-site": site})
        assert reply.status == status, site
    assert (await door.ask("POST", "/logs/services/x", cookie=cookie)).status == 401


# ---------------------------------------------------------------- cookies


@pytest.mark.parametrize("change", ["expiry", "id", "mac", "name", "cut"])
async def test_a_cookie_that_was_changed_is_worthless(door: Door, change: str) -> None:
    name, _, value = (await door.browser())["cookie"].partition("=")
    expiry, id_, mac = value.split(".")
    forged = {
        "expiry": f"{name}={int(expiry) + 1}.{id_}.{mac}",
        "id": f"{name}={expiry}.{id_[::-1]}.{mac}",
        "mac": f"{name}={expiry}.{id_}.{mac[::-1]}",
        "name": f"{name}0={value}",
        "cut": f"{name}={expiry}.{id_}",
    }[change]
    assert (await door.ask("POST", METHOD, {}, cookie=forged, **OURS)).status == 401


async def test_a_cookie_expires(door: Door) -> None:
    headers = await door.browser()
    door.clock.advance(LIFETIME - 1)
    assert (await door.ask("POST", METHOD, {}, **headers)).status == 200
    door.clock.advance(2)
    assert (await door.ask("POST", METHOD, {}, **headers)).status == 401


async def test_a_wrong_token_is_not_mended_by_a_cookie(door: Door) -> None:
    headers = await door.browser()
    assert (await door.ask("POST", METHOD, {}, authorization="Bearer x", **headers)).status == 401


async def test_a_cookie_outlives_the_agent_and_falls_with_its_token(door: Door) -> None:
    headers = await door.browser()
    for token, good in ((TOKEN, True), ("another", False)):
        sessions = Sessions(token, door.clock.now, door.clock.wall)
        assert sessions.holds(headers) is good


async def test_agents_of_one_host_do_not_take_each_others_cookies(door: Door) -> None:
    """Cookies know no ports."""
    other = Sessions("another", door.clock.now, door.clock.wall)
    assert other.cookie != door.sessions.cookie
    both = f"{other.cookie}={other.begin()}; {(await door.browser())['cookie']}"
    assert (await door.ask("POST", METHOD, {}, cookie=both, **OURS)).status == 200


async def test_signing_out_ends_the_cookie_and_no_other(door: Door) -> None:
    mine, other = await door.browser(), await door.browser()
    reply = await door.ask("DELETE", SESSION, origin=ORIGIN, **mine)
    assert reply.json() == {"signedIn": False, "cookie": True}
    assert attributes_of(reply)["max-age"] == "0"
    assert (await door.ask("POST", METHOD, {}, **mine)).status == 401
    assert (await door.ask("POST", METHOD, {}, **other)).status == 200


async def test_signing_out_is_remembered_by_the_next_agent(tmp_path: Path) -> None:
    door = Door(tmp_path / "signed-out")
    headers = await door.browser()
    await door.ask("DELETE", SESSION, origin=ORIGIN, **headers)
    assert (tmp_path / "signed-out").stat().st_mode & 0o777 == 0o600
    for _ in range(2):  # the second still knows when somebody else signed out meanwhile
        door = Door(tmp_path / "signed-out")
        assert (await door.ask("POST", METHOD, {}, **headers)).status == 401
        await door.ask("DELETE", SESSION, origin=ORIGIN, **await door.browser())


async def test_who_signed_out_is_forgotten_once_the_cookie_would_have_expired(tmp_path: Path) -> None:
    door = Door(tmp_path / "signed-out")
    await door.ask("DELETE", SESSION, **await door.browser())
    door.clock.advance(LIFETIME + 1)
    await door.ask("DELETE", SESSION, **await door.browser())
    assert len((tmp_path / "signed-out").read_text().splitlines()) == 1


async def test_a_sign_out_that_cannot_be_written_holds_and_says_so(tmp_path: Path) -> None:
    door = Door(tmp_path / "nowhere" / "signed-out")
    headers = await door.browser()
    reply = await door.ask("DELETE", SESSION, **headers)
    assert (reply.status, reply.code) == (503, "unavailable")
    assert (await door.ask("POST", METHOD, {}, **headers)).status == 401


# ---------------------------------------------------------------- who is who


async def test_in_the_records_a_browser_is_a_person(door: Door) -> None:
    service = {"metadata": {"reference": "web", "name": "Web"}, "spec": {"commands": {"start": "x"}}}
    reply = await door.ask("POST", f"/{AUTOMATION}/CreateService", service, **await door.browser())
    assert reply.json()["service"]["metadata"]["creator"]["principal"] == "PRINCIPAL_USER"
    assert door.store.services()[0].cause.by == "a browser signed in to the dashboard"


async def test_a_socket_knows_its_caller(door: Door) -> None:
    """There is nothing to sign in to."""
    assert (await door.ask_socket("GET", SESSION)).json() == {"signedIn": True, "cookie": False}
    assert (await door.ask("GET", SESSION)).json() == {"signedIn": False, "cookie": True}


async def test_a_forwarded_socket_is_no_way_in_for_foreign_pages(door: Door) -> None:
    """`ssh -L 7780:/run/runner-agent/api.sock`: any page of that browser can then speak to the socket."""
    assert (
        await door.ask_socket("POST", METHOD, {}, host="localhost:7780", origin="http://localhost:7780")
    ).status == 200
    assert (await door.ask_socket("POST", METHOD, {}, host="any.name")).status == 200  # a program's
    for headers in (
        {"host": "localhost:7780", "origin": "http://evil.example"},
        {"host": "evil.example:7780", "origin": "http://evil.example:7780"},
        {"host": "evil.example:7780", "accept-language": "en"},
        {"host": "evil.example:7780", "referer": "http://evil.example:7780/"},
    ):
        assert (await door.ask_socket("POST", METHOD, {}, **headers)).status == 403


@pytest.mark.parametrize(("path", "allow"), [(SESSION, "GET, POST, DELETE"), ("/session/code", "POST")])
async def test_other_verbs_are_told_what_there_is(door: Door, path: str, allow: str) -> None:
    reply = await door.ask("PUT", path, {}, **await door.browser())
    assert (reply.status, reply.headers["allow"]) == (405, allow)


async def test_below_a_session_is_nothing_else(door: Door) -> None:
    reply = await door.ask("GET", "/session/other", **await door.browser())
    assert (reply.status, reply.code) == (404, "unimplemented")


async def test_host_is_what_the_tests_say(door: Door) -> None:
    """The rules above would hold emptily if plain requests failed."""
    assert (await door.ask("POST", METHOD, {}, host=HOST, authorization=f"Bearer {TOKEN}")).status == 200

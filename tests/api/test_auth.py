"""Who may speak: uids on the unix socket, the token on TCP, foreign names and pages never."""

import pytest

from runner_agent.api.auth import BURST, Guard, LocalCaller, Peer, TokenCaller
from runner_agent.api.errors import Code, RpcError
from runner_agent.kit.virtual import VirtualClock

TOKEN = "s3cret-token"


class Door:
    """A guard and its clock."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.guard = Guard(
            TOKEN, frozenset({0, 1000}), self.clock.now, frozenset({"localhost", "agent.example"})
        )

    def knock(self, authorization: str) -> Code | None:
        """How a request over TCP fares."""
        try:
            assert self.guard.admit(None, {"authorization": authorization}) == TokenCaller()
        except RpcError as error:
            return error.code
        return None

    def look_at(self, **headers: str) -> Code | None:
        """How its names fare."""
        try:
            self.guard.check_site(headers)
        except RpcError as error:
            return error.code
        return None


@pytest.fixture
def door() -> Door:
    return Door()


def test_the_owner_and_root_may_use_the_socket(door: Door) -> None:
    assert door.guard.admit(Peer(1, 1000, 1000), {}) == LocalCaller(1000)
    assert door.guard.admit(Peer(1, 0, 0), {}) == LocalCaller(0)


def test_another_uid_may_not_even_with_the_token(door: Door) -> None:
    with pytest.raises(
        RpcError, match="uid 1001 may not use this socket: it serves uid 0, 1000 only"
    ) as caught:
        door.guard.admit(Peer(1, 1001, 1000), {"authorization": f"Bearer {TOKEN}"})
    assert caught.value.code is Code.PERMISSION_DENIED


def test_over_tcp_the_token_is_asked_for(door: Door) -> None:
    assert door.knock(f"Bearer {TOKEN}") is None
    assert door.knock(f"bearer  {TOKEN} ") is None
    for wrong in (
        "",
        "Bearer",
        "Bearer x",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
    ):
        assert door.knock(wrong) is Code.UNAUTHENTICATED


def test_a_token_that_is_not_ascii_is_just_wrong(door: Door) -> None:
    assert door.knock("Bearer töken") is Code.UNAUTHENTICATED


def test_the_refusal_says_what_to_send(door: Door) -> None:
    with pytest.raises(RpcError) as caught:
        door.guard.admit(None, {})
    assert "Authorization: Bearer" in caught.value.message
    assert TOKEN not in caught.value.message
    assert ("www-authenticate", "Bearer") in caught.value.headers


def test_wrong_tokens_are_slowed_and_the_right_one_is_not(door: Door) -> None:
    assert [door.knock("Bearer x") for _ in range(BURST + 2)] == [Code.UNAUTHENTICATED] * BURST + [
        Code.RESOURCE_EXHAUSTED
    ] * 2
    assert door.knock(f"Bearer {TOKEN}") is None
    door.clock.advance(1.0)
    assert [door.knock("Bearer x") for _ in range(2)] == [Code.UNAUTHENTICATED, Code.RESOURCE_EXHAUSTED]
    door.clock.advance(3600.0)
    assert [door.knock("Bearer x") for _ in range(BURST + 1)][-1] is Code.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:7780", "localhost", "LOCALHOST:7780", "[::1]:7780", "10.0.0.5", "agent.example:443"],
)
def test_names_of_ours_and_addresses_are_accepted(door: Door, host: str) -> None:
    assert door.look_at(host=host) is None


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "a b",
        "[::1",
        "[evil]:80",
        "x@localhost@",
    ],
)
def test_foreign_names_are_refused(door: Door, host: str) -> None:
    """DNS rebinding: a page's own name, pointed at us."""
    assert door.look_at(host=host) is Code.PERMISSION_DENIED


def test_only_our_own_pages_may_ask(door: Door) -> None:
    assert door.look_at(host="127.0.0.1:7780", origin="http://127.0.0.1:7780") is None
    for origin in (
        "http://evil.example",
        "http://127.0.0.1:8080",
        "http://127.0.0.1",
        "null",
        "",
        "http://[x",
    ):
        assert door.look_at(host="127.0.0.1:7780", origin=origin) is Code.PERMISSION_DENIED


def test_callers_have_words_for_messages() -> None:
    assert (LocalCaller(1000).by, TokenCaller().by) == ("uid 1000", "a client with the API token")

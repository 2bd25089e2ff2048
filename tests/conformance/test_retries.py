"""What the SDKs make of each code, and which they ask again for: trap 6, and `x-should-retry`.

The border is ours and real; only the handlers behind it are made up, for a healthy agent has no such errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runner_agent.api.errors import Code, RpcError
from tests.conformance.border import ENVIRONMENT, SERVICE, TOKEN, Border, serving
from tests.conformance.refusals import STATUSES, check
from tests.conformance.sdk import Driver, Sdk

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(240)]

ONCE = sorted(set(STATUSES) - {"unavailable"})


@pytest.fixture
def border() -> Iterator[Border]:
    """Without trouble so far."""
    with serving() as one:
        yield one


@pytest.fixture
def asking(driver: tuple[str, Driver], border: Border) -> Sdk:
    """Every SDK, before that border."""
    return Sdk(*driver, f"http://{border.address}", TOKEN, ENVIRONMENT)


@pytest.mark.parametrize("code", ONCE)
def test_what_asking_again_cannot_cure_is_asked_once(asking: Sdk, border: Border, code: str) -> None:
    """409 matters most: repeated, a creation whose answer was lost would be told it is taken."""
    border.troubles = [RpcError(Code(code), f"it is {code}")] * 5
    error = asking.refused("GetService", {"id": SERVICE})
    check(asking, error, code, STATUSES[code])
    assert f"it is {code}" in error.message
    assert border.asked == 1


def test_what_passes_is_asked_again(asking: Sdk, border: Border) -> None:
    """503: the SDKs that repeat by themselves do, and their user never learns of it."""
    border.troubles = [RpcError(Code.UNAVAILABLE, "not now")]
    if asking.connect:
        check(asking, asking.refused("GetService", {"id": SERVICE}), "unavailable", 503)
    assert asking.call("GetService", {"id": SERVICE})["service"]["id"] == SERVICE
    assert border.asked == 2


def test_asking_again_has_an_end(asking: Sdk, border: Border) -> None:
    """Told `unavailable` time and again, the user learns that."""
    border.troubles = [RpcError(Code.UNAVAILABLE, "not now")] * 9
    check(asking, asking.with_(retries=1).refused("GetService", {"id": SERVICE}), "unavailable", 503)
    assert border.asked == (1 if asking.connect else 2)


def test_an_agent_that_is_not_there(asking: Sdk) -> None:
    """Nobody listens: the SDK's own error for that."""
    error = asking.with_(base="http://127.0.0.1:1", retries=0).refused("GetService", {"id": SERVICE})
    assert error.type == ("ConnectError" if asking.connect else "APIConnectionError")


def test_a_deadline_ends_the_call(asking: Sdk, border: Border) -> None:
    """The client gives up, and the handler does not go on for nobody."""
    border.slow = True
    error = asking.with_(retries=0).refused("GetService", {"id": SERVICE}, timeout=1.5)
    if asking.connect:
        check(asking, error, "deadline_exceeded", 504)
    else:
        assert error.type == ("APIConnectionTimeoutError" if asking.node else "APITimeoutError")
    if asking.connect:
        assert border.cancelled.wait(60)


def test_a_watcher_that_leaves_is_let_go(asking: Sdk, border: Border) -> None:
    """Trap 3: its subscription ends with it."""
    with asking.watch() as watch:
        assert watch.next()["resourceId"] == SERVICE
        assert not border.stream_ended.is_set()
    assert border.stream_ended.wait(60)


def test_a_stopping_server_ends_its_watches(asking: Sdk) -> None:
    """Trap 3: the generated clients hear why, readers of lines see an end."""
    with serving() as border:
        sdk = asking.with_(base=f"http://{border.address}")
        with sdk.watch() as watch:
            watch.next()
            pending = watch.ask()
            border.stop()
            if sdk.connect:
                with pytest.raises(Exception, match="unavailable"):
                    pending.result()
            else:
                assert pending.result() == []

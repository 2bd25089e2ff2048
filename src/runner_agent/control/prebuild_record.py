"""The record of the prebuild: one fact of the store, durable, so that a daemon that is killed comes back in
prebuild mode.
"""

from functools import lru_cache

from runner_agent.core.prebuild import Over, Prebuild
from runner_agent.model.errors import FailedPrecondition
from runner_agent.model.ids import BootMark
from runner_agent.store.base import Store
from runner_agent.store.codec import decoder, encoder
from runner_agent.store.scalars import Unreadable

_META = "prebuild"


def load(store: Store) -> Prebuild | None:
    """The latest one, of whatever boot; None too for one that another version wrote."""
    text = store.get_meta(_META)
    return _parsed(text) if text else None


@lru_cache(maxsize=2)
def _parsed(text: str) -> Prebuild | None:
    try:
        return decoder(Prebuild)(text)
    except Unreadable:
        return None


async def save(store: Store, prebuild: Prebuild | None) -> None:
    """Durable. None: forget it."""
    await store.set_meta(_META, "" if prebuild is None else encoder(Prebuild)(prebuild))


def under_way(store: Store, boot: BootMark) -> Prebuild | None:
    """The one that has not ended. One of another boot never will, and is none."""
    found = load(store)
    if found is None or found.boot != boot or isinstance(found.stage, Over):
        return None
    return found


def refuse_during_prebuild(store: Store, boot: BootMark, event: str) -> None:
    """Rule 6.5. Raises FailedPrecondition."""
    found = under_way(store, boot)
    if found is not None:
        raise FailedPrecondition(
            f"{event} cannot be fired: a prebuild is under way, begun by {found.began_by} at "
            f"{found.began_at:%H:%M:%S} UTC, and nothing else fires until it has ended; fire it again then, "
            "or end the prebuild with `runner-agent prebuild --cancel`"
        )

"""Watches: for each watcher, the keys touched since it last asked and what happened to them, merged."""

import asyncio
from collections.abc import Callable, Iterable, Mapping

from runner_agent.model.records import Key
from runner_agent.store.base import Change


def merge(known: dict[Key, Change], news: Iterable[tuple[Key, Change]]) -> None:
    """Add to what is known, in the order of first change."""
    for key, change in news:
        earlier = known.setdefault(key, change)
        if earlier is not change:
            known[key] = earlier.then(change)


class KeyWatch:
    """One watcher's unread changes. Never more than there are keys."""

    def __init__(self, forget: "Callable[[KeyWatch], None]") -> None:
        """`forget` is told once, when the watch closes."""
        self._forget = forget
        self._unread: dict[Key, Change] = {}
        self._ready = asyncio.Event()
        self._closed = False

    def __repr__(self) -> str:
        """Evidence."""
        return f"<{type(self).__name__} {len(self._unread)} unread{' closed' if self._closed else ''}>"

    async def changes(self) -> Mapping[Key, Change]:
        """See `base.Watch`. Cancelling it loses nothing: what is unread is taken after the last await."""
        await self._ready.wait()
        taken, self._unread = self._unread, {}
        if not self._closed:
            self._ready.clear()
        return taken

    def close(self) -> None:
        """See `base.Watch`. What is unread is dropped."""
        if self._closed:
            return
        self._closed = True
        self._unread = {}
        self._ready.set()
        self._forget(self)

    def notice(self, news: Mapping[Key, Change]) -> None:
        """Merge. `news` stays the caller's."""
        if self._unread:
            merge(self._unread, news.items())
        else:
            self._unread = dict(news)
        self._ready.set()


class Watchers:
    """All open watches of one store."""

    def __init__(self) -> None:
        """None yet."""
        self._open: dict[KeyWatch, None] = {}

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    def add(self) -> KeyWatch:
        """One that sees what is published from now on."""
        watch = KeyWatch(lambda closed: self._open.pop(closed, None))
        self._open[watch] = None
        return watch

    def notice(self, news: Mapping[Key, Change]) -> None:
        """Tell everyone."""
        if news:
            for watch in self._open:
                watch.notice(news)

    def close(self) -> None:
        """End all of them."""
        for watch in list(self._open):
            watch.close()

"""The secret stores: folders asked in the order of their scopes, closed ones passed over (rules 5.6, 6.5)."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog

from runner_agent.kit.patience import LIMIT, Patience, Reading, TookTooLong
from runner_agent.model.frozen import dataclass
from runner_agent.secrets.folders import Folder, Found, Scope, Unusable, is_secret_id

log = structlog.get_logger("secrets")


@dataclass(frozen=True, slots=True)
class Missing:
    """Why there is no value. `closed`: it may be in the user scope, which is out of reach now."""

    reason: str
    closed: bool = False


class SecretStores:
    """Reads anew each time: a value that was rotated is the new one for the next run."""

    def __init__(
        self,
        folders: Iterable[Folder] = (),
        *,
        user_scope_open: Callable[[], bool] = lambda: True,
        reading: Reading | None = None,
    ) -> None:
        """`user_scope_open` is asked at each look. `reading` is how blocking work is waited for."""
        order = tuple(Scope)
        self._folders = tuple(sorted(folders, key=lambda folder: order.index(folder.scope)))
        self._user_scope_open = user_scope_open
        self._reading: Reading = reading or Patience()
        self._told: set[str] = set()

    async def look(self, ids: Iterable[str]) -> Mapping[str, Found | Missing]:
        """What becomes of each id. Never raises for a store that fails or hangs; takes 5 s at most then."""
        wanted = tuple(dict.fromkeys(ids))
        if not wanted:
            return {}
        closed = not self._user_scope_open()
        open_now = [one for one in self._folders if not (closed and one.scope is Scope.USER)]
        shut = len(open_now) < len(self._folders)
        seen: dict[str, Found | Missing] = {}
        asking: list[Folder] = []

        def read() -> None:
            for id_ in wanted:
                seen[id_] = _ask(open_now, id_, asking, closed=shut)

        try:
            await self._reading(read)
        except TookTooLong:
            where = f"the store {asking[-1]} does" if asking else "the secret stores do"
            late = Missing(f"{where} not answer within {LIMIT:g} s; see whether its mount hangs")
            return {id_: seen.get(id_, late) for id_ in wanted}
        for id_, found in seen.items():
            if isinstance(found, Found) and found.exposed:
                self._warn(id_)
        return seen

    def _warn(self, id_: str) -> None:
        if id_ not in self._told:
            self._told.add(id_)
            log.warning("everybody on this machine can read a secret's file; chmod o-r it", secret=id_)


def _ask(folders: Sequence[Folder], id_: str, asking: list[Folder], *, closed: bool) -> Found | Missing:
    if not is_secret_id(id_):
        return Missing("its id is no UUID")
    for folder in folders:
        asking.append(folder)
        try:
            found = folder.read(id_)
        except Unusable as error:
            # Not the next store: another value than the one meant is worse than none.
            return Missing(f"its file {folder.place(id_)} {error}")
        if found is not None:
            return found
    return Missing(_nowhere(folders, closed=closed), closed)


def _nowhere(folders: Sequence[Folder], *, closed: bool) -> str:
    shut = "the user scope is out of reach of a prebuild" if closed else ""
    if not folders:
        return shut or "no secret store is configured to look in; see the setting `secrets`"
    asked = ", ".join(_asked(folder) for folder in folders)
    told = f"it is in none of the stores asked: {asked}; put a file of that name there"
    return f"{told}; {shut}" if shut else told


def _asked(folder: Folder) -> str:
    return str(folder) if folder.path.is_dir() else f"{folder}, where there is no folder"

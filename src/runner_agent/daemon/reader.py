"""What the user of runs could read himself: as root the agent reads no other file for him.

Else a link in his workspace would have it read /etc/shadow, and quote it in what is wrong with it.
"""

import os
from collections.abc import Callable
from pathlib import Path

from runner_agent.daemon.user import User
from runner_agent.model.frozen import dataclass

_READ, _WRITE, _PASS = 4, 2, 1


@dataclass(frozen=True, slots=True)
class Reader:
    """A user, by what mode bits say of files. Access lists are not asked, so they give him nothing here."""

    name: str
    uid: int
    groups: frozenset[int]

    def judge(self, trusted: Path | None) -> Callable[[int], str]:
        """Says why an open file is not read for him; "" if it is. `trusted`: where somebody else chose it."""

        def reason(file: int) -> str:
            path = Path(f"/proc/self/fd/{file}").readlink()  # as it is, without links
            if path == trusted and os.fstat(file).st_nlink == 1:
                return ""
            passable = all(self._may(folder.stat(), _PASS) for folder in path.parents)
            if passable and self._may(os.fstat(file), _READ):
                return ""
            return f"it is {path}, which {self.name} cannot read; the agent reads no file for one who cannot"

        return reason

    def may_replace(self, path: Path) -> Path | None:
        """The folder, it or one above, that he may write to, and so put another thing in its place."""
        return next((one for one in (path, *path.parents) if self._replaces(one.stat())), None)

    def _replaces(self, folder: os.stat_result) -> bool:
        sticky = bool(folder.st_mode & 0o1000) and folder.st_uid != self.uid
        return not sticky and self._may(folder, _WRITE)

    def _may(self, found: os.stat_result, what: int) -> bool:
        if found.st_uid == self.uid:
            return bool(found.st_mode >> 6 & what)
        if found.st_gid in self.groups:
            return bool(found.st_mode >> 3 & what)
        return bool(found.st_mode & what)


def reader_for(user: User) -> Reader | None:
    """Nobody where the agent's own user reads."""
    groups = frozenset(os.getgrouplist(user.name, user.gid)) if user.other else frozenset[int]()
    return Reader(user.name, user.uid, groups) if user.other else None

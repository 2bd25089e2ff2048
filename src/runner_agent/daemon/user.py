"""The user that commands run as (`run_as`), as the system knows it."""

import os
import pwd

from runner_agent.model.errors import InvalidArgument, Violation
from runner_agent.model.frozen import dataclass


@dataclass(frozen=True, slots=True)
class User:
    """`other`: not the agent's own user, so that files for it must be given to it."""

    name: str
    uid: int
    gid: int
    other: bool


def find_user(name: str) -> User:
    """The named user, or the agent's own for "". Raises InvalidArgument for one that is unknown or out of
    reach.
    """
    own = os.getuid()
    if not name:
        try:
            return User(pwd.getpwuid(own).pw_name, own, os.getgid(), other=False)
        except KeyError:  # a container may run with a uid that has no name
            return User(str(own), own, os.getgid(), other=False)
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise InvalidArgument(Violation("run_as", f"there is no user {name!r} on this machine")) from None
    if own not in (0, entry.pw_uid):
        raise InvalidArgument(
            Violation(
                "run_as",
                f"only an agent that runs as root can run commands as {name!r}; this one is uid {own}",
            )
        )
    return User(name, entry.pw_uid, entry.pw_gid, other=entry.pw_uid != own)

"""A dev container looked into from outside: what it has, and room in it for a run's pipe and output file."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from runner_agent.executors.devcontainer_place import DevContainer
from runner_agent.executors.environment import FALLBACK_SHELL
from runner_agent.launcher.gate import PIPE, SCRIPT
from runner_agent.launcher.inside import Inside
from runner_agent.launcher.watched import Watched
from runner_agent.model.errors import CannotStart

PLACES = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - the container's
"""Where a run's folder in the container may be: the first that can be written to."""
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class Entered:
    """It, while its first process is pinned. A context manager."""

    def __init__(self, there: DevContainer) -> None:
        """Raises CannotStart."""
        self.there = there
        try:
            self.init = Watched(there.pid)
        except ProcessLookupError:
            raise CannotStart(f"{there.called} stopped just now") from None
        except OSError as error:
            raise _unseen(there, error) from None
        try:
            if there.id not in Path(f"/proc/{there.pid}/cgroup").read_text(encoding="utf-8"):
                raise _unseen(there, None)
            self.root = Inside(there.pid)
        except OSError as error:
            self.init.close()
            raise _unseen(there, error) from None

    def make_place(self, name: str, output: str, script: str) -> tuple[str, int]:
        """The run's folder there, with its pipe, output file and script: its path, and the pipe, open.

        Raises CannotStart.
        """
        try:
            place, folder = self.root.make_folder(PLACES, name)
        except OSError as error:
            raise CannotStart(
                f"nowhere to write to in {self.there.called} ({', '.join(PLACES)}): {error.strerror}"
            ) from None
        try:
            for leftover in os.listdir(folder):  # noqa: PTH208  by descriptor, not by a path it could change
                os.unlink(leftover, dir_fd=folder)
            os.mkfifo(PIPE, 0o600, dir_fd=folder)
            os.close(os.open(output, _NEW, 0o600, dir_fd=folder))
            with os.fdopen(os.open(SCRIPT, _NEW, 0o400, dir_fd=folder), "wb") as file:
                file.write(script.encode("utf-8", "surrogateescape"))
            return place, os.open(PIPE, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        except OSError as error:
            raise CannotStart(f"cannot write to {place} in {self.there.called}: {error.strerror}") from None
        finally:
            os.close(folder)

    def account(self) -> Mapping[str, str]:
        """HOME and its like, as the container's own list of users has them."""
        user = self.there.user.partition(":")[0] or "0"
        for line in self.root.text("/etc/passwd").splitlines():
            fields = line.split(":")
            if len(fields) == 7 and user in (fields[0], fields[2]):
                shell = fields[6] or FALLBACK_SHELL
                return {"HOME": fields[5] or "/", "USER": fields[0], "LOGNAME": fields[0], "SHELL": shell}
        return {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.root.close()
        self.init.close()


def _unseen(there: DevContainer, error: OSError | None) -> CannotStart:
    reason = f" ({error.strerror.lower()})" if error is not None and error.strerror else ""
    return CannotStart(
        f"the processes of {there.called} cannot be seen from here{reason}: the Docker Engine"
        " must run on this machine, and the agent as root"
    )

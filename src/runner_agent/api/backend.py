"""What the handlers stand on, handed in by the daemon."""

from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from typing import NamedTuple

from runner_agent.api import auth
from runner_agent.api.pieces import Shown
from runner_agent.api.wire_out import Outward
from runner_agent.control import base
from runner_agent.control.base import NewId
from runner_agent.control.commands import Commands
from runner_agent.control.prebuild import PrebuildControl
from runner_agent.core.timing import Timing
from runner_agent.kit.clock import Clock
from runner_agent.logs.files import LogFiles
from runner_agent.model.errors import NotFound, RunnerError
from runner_agent.model.specs import Principal, Subject
from runner_agent.store.base import Store


class AutomationsState(NamedTuple):
    """The automations file the agent applies by itself (rule 2.9).

    `path` is "" where none was found, `error` "" while its contents are in force. `warning` tells of a second
    default file.
    """

    path: str = ""
    applied_at: datetime | None = None
    error: str = ""
    warning: str = ""


class AgentInfo(NamedTuple):
    """The agent, as GetAgent tells it."""

    version: str
    pid: int
    addresses: tuple[str, ...]
    state_dir: str
    workspace: str
    started_at: datetime
    automations: AutomationsState


class Backend(NamedTuple):
    """The store for questions, the commands for wishes, and how to say both to the outside.

    `set_automations_file` makes a path the file the agent applies by itself, and raises RunnerError.
    `automations_applied` is told of each file that a client applied, by its path, or could not, with why.
    `new_logs_token` gives a token that reads logs only.
    `clock`, `timing` and `logs` are what explanations need to know besides the records.
    """

    store: Store
    commands: Commands
    prebuild: PrebuildControl
    outward: Outward
    shown: Shown
    info: Callable[[], AgentInfo]
    new_id: NewId
    set_automations_file: Callable[[str], Awaitable[None]]
    automations_applied: Callable[[str, RunnerError | None], None]
    new_logs_token: Callable[[], str]
    clock: Clock
    timing: Timing
    logs: LogFiles

    def check_environment(self, id_: str) -> None:
        """Rule 1.1: empty means ours. Raises NotFound for another."""
        if id_ and not self.covers((id_,)):
            raise NotFound(
                f"the environment {id_} is not served here: this is {self.outward.environment_id}; "
                "leave the id out or name that one"
            )

    def covers(self, ids: Collection[str]) -> bool:
        """Whether a filter for these environments lets ours through. An empty one does."""
        return not ids or self.outward.environment_id in {id_.lower() for id_ in ids}

    def caller(self, admitted: auth.Caller) -> base.Caller:
        """Who asks, as commands record it. The bearer of the token acts for the environment."""
        match admitted:
            case auth.LocalCaller() | auth.BrowserCaller():
                return base.Caller(admitted.by, Subject(principal=Principal.USER))
            case auth.TokenCaller():
                subject = Subject(self.outward.environment_id, Principal.ENVIRONMENT)
                return base.Caller(admitted.by, subject)

"""What an agent is made of below its front door, built once by `wiring` and handed round as one."""

from runner_agent.control.base import NewId
from runner_agent.control.commands import Commands
from runner_agent.control.prebuild import PrebuildControl
from runner_agent.core.timing import Timing
from runner_agent.daemon.default_file import DefaultFile
from runner_agent.daemon.identity import Identity
from runner_agent.daemon.listening import Listening
from runner_agent.daemon.metrics import Metrics
from runner_agent.daemon.settings import Settings
from runner_agent.daemon.user import User
from runner_agent.kit.clock import Clock
from runner_agent.logs.files import LogFiles
from runner_agent.logs.logbook import Logbook
from runner_agent.model.frozen import dataclass
from runner_agent.store.base import Store


@dataclass(frozen=True, slots=True)
class Parts:
    """Open and idle."""

    settings: Settings
    identity: Identity
    listening: Listening
    user: User
    clock: Clock
    timing: Timing
    new_id: NewId
    store: Store
    commands: Commands
    prebuild: PrebuildControl
    default_file: DefaultFile
    logs: LogFiles
    logbook: Logbook
    metrics: Metrics

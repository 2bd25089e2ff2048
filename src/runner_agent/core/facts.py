"""Facts: what has happened, as data. Only these change the run half of a record."""

from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import BootMark, Instant, RunId, SessionId
from runner_agent.model.phases import RunRole
from runner_agent.model.runs import Ending, Handle, OutputMark, Outputs, Survivor
from runner_agent.model.specs import Launch


@dataclass(frozen=True, slots=True)
class Began:
    """A service's new session was taken up, with the spec it keeps for life (rule 2.7)."""

    session: SessionId
    launch: Launch
    boot: BootMark


@dataclass(frozen=True, slots=True)
class Promised:
    """A run is about to be started under this id. On disk before anything is spawned."""

    role: RunRole
    run_id: RunId
    at: Instant


@dataclass(frozen=True, slots=True)
class Waits:
    """What keeps a promised run from being started, in words; "" for nothing any more."""

    role: RunRole
    run_id: RunId
    text: str


@dataclass(frozen=True, slots=True)
class Spawned:
    """The command runs."""

    role: RunRole
    run_id: RunId
    at: Instant
    handle: Handle


@dataclass(frozen=True, slots=True)
class NeverStarted:
    """A promise the agent died on before it was kept; now it never can be."""

    role: RunRole
    run_id: RunId


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The command itself has ended; processes it left behind may exist."""

    role: RunRole
    run_id: RunId
    at: Instant
    ending: Ending


@dataclass(frozen=True, slots=True)
class RunGone:
    """Nothing of the run is left. `last_line` is the last line of what it wrote, "" if none."""

    role: RunRole
    run_id: RunId
    at: Instant
    ending: Ending
    last_line: str = ""


@dataclass(frozen=True, slots=True)
class StopAsked:
    """The wish no longer covers the run, or wants it down by force."""

    at: Instant
    force: bool = False


@dataclass(frozen=True, slots=True)
class Terminated:
    """SIGTERM was sent to the start command or task."""

    at: Instant


@dataclass(frozen=True, slots=True)
class Killed:
    """SIGKILL was sent to the whole tree of this role."""

    role: RunRole
    at: Instant


@dataclass(frozen=True, slots=True)
class NotReadyInTime:
    """The readiness timeout passed (rule 3.4)."""

    at: Instant


@dataclass(frozen=True, slots=True)
class StopOverran:
    """The stop command did not finish within the grace (rule 3.8)."""

    at: Instant


@dataclass(frozen=True, slots=True)
class SurvivorsSeen:
    """These processes outlive SIGKILL so far (rule 3.9)."""

    survivors: tuple[Survivor, ...]


@dataclass(frozen=True, slots=True)
class OutputSeen:
    """Entries a run wrote to its output file; "" unsets (rule 5.3). `read`: they end there, in the file of
    that run.
    """

    entries: Outputs
    run_id: RunId = RunId("")
    read: OutputMark = OutputMark()


@dataclass(frozen=True, slots=True)
class Rebooted:
    """The machine restarted, which ended every run of the old boot (rule 6.6)."""


RunFact = Promised | Waits | Spawned | NeverStarted | RunEnded | RunGone
"""What happens to one OS-level run."""

StepFact = RunFact | StopAsked | Terminated | Killed | SurvivorsSeen | OutputSeen | Rebooted
ServiceFact = StepFact | Began | NotReadyInTime | StopOverran

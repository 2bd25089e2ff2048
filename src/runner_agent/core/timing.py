"""How long things may take: every duration of the rules, in seconds, handed in since some are settings."""

from runner_agent.model.frozen import dataclass

NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Timing:
    """Defaults are those of the rules; the graces are settings (`service_stop_grace`, `task_stop_grace`).

    `ready_attempt_timeout` 0 means none (rule 3.3). What a command leaves behind has `leftover_grace` between
    SIGTERM and SIGKILL (rule 3.5). Between SIGKILLs that do not empty a tree we wait from `kill_look` on,
    doubled each time, to at most `kill_look_max`.
    """

    service_stop_grace: float = 120.0
    task_stop_grace: float = 120.0
    ready_interval: float = 1.0
    ready_attempt_timeout: float = 0.0
    leftover_grace: float = 10.0
    kill_look: float = 0.5
    kill_look_max: float = 30.0

"""Runs on the machine itself: what an order says of one, and as whom and where it runs."""

import os
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

import structlog

from runner_agent.executors.accounts import Accounts
from runner_agent.executors.base import RunRequest
from runner_agent.executors.delegated import NO_LIMITS, RunLimits
from runner_agent.executors.environment import FALLBACK_SHELL, Account, find_shell
from runner_agent.executors.held import HeldRuns
from runner_agent.executors.launcher_link import LauncherLink
from runner_agent.executors.remains import clear_cgroup
from runner_agent.executors.scripts import way
from runner_agent.model.errors import CannotStart
from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import RunId
from runner_agent.model.runs import Handle

LEFTOVER_GRACE = 10
"""Seconds between SIGTERM and SIGKILL for what a command left behind (rule 3.5)."""
OOM_SCORE = 300
"""When memory runs out, commands go before the agent."""
log = structlog.get_logger("machine")


@dataclass(frozen=True, slots=True)
class MachineSettings:
    """`state_dir` holds the launcher's socket and the folder `runs`. "" as `shell` or `run_as`: the
    default. `cgroup` is the folder for the cgroups of runs, "" is none; `limits` are for each of them.
    """

    state_dir: Path
    workspace: Path
    shell: str = ""
    run_as: str = ""
    cgroup: str = ""
    limits: RunLimits = NO_LIMITS
    launcher_unit: str = ""
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    own_path: str = ""


class MachineExecutor(HeldRuns):
    """An `Executor`."""

    def __init__(self, settings: MachineSettings) -> None:
        """Nothing is started before the first run. Raises KeyError for a user that does not exist."""
        super().__init__(
            "machine", LauncherLink(settings.state_dir, settings.launcher_unit), settings.state_dir / "runs"
        )
        self._settings = settings
        self._accounts = Accounts(settings.run_as, settings.environ, settings.own_path)

    async def prepare(self, request: RunRequest) -> None:
        """Nothing is slow here."""

    async def start(self, request: RunRequest) -> Handle:
        user = await self._accounts.now()
        shell = find_shell(self._settings.shell, user.env["PATH"])
        if shell is None:
            wanted = self._settings.shell or "bash or sh"
            raise CannotStart(f"the shell {wanted} is missing or not executable; install it or set `shell`")
        if shell == FALLBACK_SHELL and not self._settings.shell:
            log.warning("bash is missing, so sh runs what was written for it", reference=request.reference)
        self.make_folder(request.run_id)
        return await self.order(request.run_id, self._order(request, shell, user))

    async def clean(self, run_id: RunId) -> None:
        if self._settings.cgroup:  # what holder and launcher did not live to remove
            clear_cgroup(self._cgroup(run_id))
        await super().clean(run_id)

    def _order(self, request: RunRequest, shell: str, user: Account) -> dict[str, object]:
        workspace = str(self._settings.workspace)
        order: dict[str, object] = {
            "argv": [shell, "-c", request.script],
            "stdin": way(request.script, shell, request.role),
            # Shells take PWD for the way they came, if it leads there: else a link would be resolved.
            "env": {**user.env, **request.env, "PWD": workspace, "RUNNER_AGENT_RUN_ID": request.run_id},
            "cwd": workspace,
            "log": str(request.log),
            "title": request.role.value,
            "note": request.note,
            "leftover_grace": LEFTOVER_GRACE,
            "oom_score_adj": OOM_SCORE,
            "secrets": list(request.secrets),
        }
        if user.switch:
            order |= {"uid": user.uid, "gid": user.gid, "groups": list(user.groups)}
        if self._settings.cgroup:
            order |= {"cgroup": self._cgroup(request.run_id), "limits": self._settings.limits.files()}
        return order

    def _cgroup(self, run_id: RunId) -> str:
        return f"{self._settings.cgroup}/{run_id}"

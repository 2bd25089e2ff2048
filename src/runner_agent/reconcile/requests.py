"""What a run is given: script, environment, secrets, log and output file, from the record it belongs to
(rules 5.1 to 5.6).
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import field
from typing import assert_never

from runner_agent.core.wishes import NO_COMMANDS
from runner_agent.executors.base import RunRequest
from runner_agent.model.errors import CannotStart, RunnerError
from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import EnvironmentId, RunId
from runner_agent.model.phases import RunRole
from runner_agent.model.runs import Survivor
from runner_agent.model.specs import EnvVar, SecretRef
from runner_agent.reconcile.evidence import Evidence
from runner_agent.reconcile.machines import Machine, R
from runner_agent.secrets.environs import variables_of
from runner_agent.secrets.given import RunSecrets
from runner_agent.secrets.known import Redaction
from runner_agent.store.base import Store


@dataclass(frozen=True, slots=True)
class Requests:
    """Builds run requests. `environment` is the configured one, below every run's secrets and the spec's own
    (rule 5.2).
    """

    evidence: Evidence
    environment_id: EnvironmentId
    socket: str
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    secrets: RunSecrets = field(default_factory=RunSecrets)

    async def build(
        self, machine: Machine[R], record: R, role: RunRole, run_id: RunId, waits: Callable[[str], None]
    ) -> RunRequest:
        """The request for one role of a record; `waits` is told what its start waits for. Raises CannotStart
        for a secret that cannot be resolved (5.6), and where the commands were taken away meanwhile (2.11).
        """
        reference = machine.reference(record)
        script, runs_on, env = machine.script(record, role)
        try:
            log, output = self.evidence.prepare(record.key, role, run_id, reference)
        except OSError as error:
            raise CannotStart(
                f"its log or output file cannot be made: {error}; free or repair the state directory"
            ) from None
        if role is RunRole.START and not script:
            raise CannotStart(NO_COMMANDS)
        own = {
            "GITPOD_ENVIRONMENT_ID": self.environment_id,
            "GITPOD_OUTPUT": str(output),
            "RUNNER_AGENT_SOCKET": self.socket,
            "RUNNER_AGENT_REFERENCE": reference,
            "RUNNER_AGENT_RUN_ID": run_id,
        }
        plain, refs = _parted(env)
        given = await self.secrets.given(refs, overridden=plain)
        for name, reason in given.left_out.items():
            self.evidence.note(record.key, role, f"variable {name} is left out: {reason}")
        return RunRequest(
            run_id=run_id,
            role=role,
            reference=reference,
            script=script,
            runs_on=runs_on,
            env={**self.environment, **given.values, **plain, **own},
            log=log,
            output=output,
            note=f"{reference}: {role.value}",
            secrets=self.secrets.known.values(),
            waits=waits,
        )

    async def recalled(
        self,
        machine: Machine[R],
        record: R,
        role: RunRole,
        run_id: RunId,
        store: Store,
        survivors: Callable[[], Awaitable[tuple[Survivor, ...]]],
    ) -> Redaction:
        """What hides secrets in the outputs of a run that an agent before this one started.

        It was given the values of then: those in its own environment, where that can be read.
        """
        await self.secrets.recall(lambda: _given_before(store))
        plain, refs = _parted(machine.script(record, role)[2])
        wanted = self.secrets.wanted(refs, plain)
        if wanted:
            try:
                pids = [one.pid for one in await survivors()]
            except RunnerError:
                pids = []
            for name, value in variables_of(run_id, pids, wanted).items():
                self.secrets.known.learn(wanted[name], value)
        return self.secrets.redaction(refs.values())


def _parted(env: tuple[EnvVar, ...]) -> tuple[dict[str, str], dict[str, str]]:
    """Values, and ids of secrets, by variable; the last of a name counts."""
    plain: dict[str, str] = {}
    refs: dict[str, str] = {}
    for item in env:
        plain.pop(item.name, None)
        refs.pop(item.name, None)
        match item.value:
            case None:
                plain[item.name] = ""
            case str() as value:
                plain[item.name] = value
            case SecretRef(id=id_):
                refs[item.name] = id_
            case _:
                assert_never(item.value)
    return plain, refs


def _given_before(store: Store) -> Iterator[str]:
    """The ids of secrets of all runs there may be."""
    for service in store.services():
        if service.run is not None:
            yield from _parted(service.run.launch.env)[1].values()
    for step in store.live_steps():
        yield from _parted(step.spec.env)[1].values()

"""What a run is given: script, environment, log and output file, from the record it belongs to (rules 5.1 to
5.4).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import assert_never

from runner_agent.executors.base import RunRequest
from runner_agent.model.errors import CannotStart
from runner_agent.model.ids import EnvironmentId, RunId
from runner_agent.model.phases import RunRole
from runner_agent.model.specs import EnvVar, SecretRef
from runner_agent.reconcile.evidence import Evidence
from runner_agent.reconcile.machines import Machine, R


@dataclass(frozen=True, slots=True)
class Requests:
    """Builds run requests. `environment` is the configured one, below the spec's own (rule 5.2)."""

    evidence: Evidence
    environment_id: EnvironmentId
    socket: str
    environment: Mapping[str, str] = field(default_factory=dict[str, str])

    def build(self, machine: Machine[R], record: R, role: RunRole, run_id: RunId) -> RunRequest:
        """The request for one role of a record. Raises CannotStart for a secret that cannot be resolved (rule
        5.6).
        """
        reference = machine.reference(record)
        script, runs_on, env = machine.script(record, role)
        try:
            log, output = self.evidence.prepare(record.key, role, run_id, reference)
        except OSError as error:
            raise CannotStart(
                f"its log or output file cannot be made: {error}; free or repair the state directory"
            ) from None
        own = {
            "GITPOD_ENVIRONMENT_ID": self.environment_id,
            "GITPOD_OUTPUT": str(output),
            "RUNNER_AGENT_SOCKET": self.socket,
            "RUNNER_AGENT_REFERENCE": reference,
            "RUNNER_AGENT_RUN_ID": run_id,
        }
        return RunRequest(
            run_id=run_id,
            role=role,
            reference=reference,
            script=script,
            runs_on=runs_on,
            env={**self.environment, **_resolved(env), **own},
            log=log,
            output=output,
            note=f"{reference}: {role.value}",
        )


def _resolved(env: tuple[EnvVar, ...]) -> dict[str, str]:
    return {item.name: _value(item) for item in env}


def _value(item: EnvVar) -> str:
    match item.value:
        case None:
            return ""
        case str() as value:
            return value
        case SecretRef(id=id_):
            raise CannotStart(
                f"variable {item.name} refers to secret {id_}, and no secret store is configured to look in"
            )
        case _:
            assert_never(item.value)

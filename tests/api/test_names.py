"""Rule 1.2: the wire has a name for everything the model enumerates."""

from runner_agent.api import schema, wire_names
from runner_agent.model.phases import ExecutionPhase, ServicePhase


def test_every_phase_of_the_model_has_its_name_on_the_wire() -> None:
    services = schema.enum_numbers("gitpod.v1.ServicePhase")
    executions = schema.enum_numbers("gitpod.v1.TaskExecutionPhase")
    assert {services[wire_names.service_phase(one)]: one for one in ServicePhase} == wire_names.SERVICE_PHASES
    assert {
        executions[wire_names.execution_phase(one)]: one for one in ExecutionPhase
    } == wire_names.EXECUTION_PHASES
    roles = schema.enum_numbers("gitpod.v1.ServiceRole")
    assert {roles[wire_names.role(one)]: one for one in wire_names.ROLES.values()} == wire_names.ROLES

"""Handlers of what clients ask about the environment on their way to its automations and logs."""

from runner_agent.api.backend import Backend
from runner_agent.api.rpc import Call
from runner_agent.api.wire_in import Request
from runner_agent.api.wire_out import Tree

_RUNNING = "ENVIRONMENT_PHASE_RUNNING"


async def get_environment(backend: Backend, request: Request, _: Call) -> Tree:
    """Ours; it runs, since we do. Raises NotFound for another."""
    backend.check_environment(request.environment_id)
    return {
        "environment": {
            "id": backend.outward.environment_id,
            "spec": {"desired_phase": _RUNNING},
            "status": {"phase": _RUNNING},
        }
    }


async def create_logs_token(backend: Backend, request: Request, _: Call) -> Tree:
    """Raises NotFound for another environment."""
    backend.check_environment(request.environment_id)
    return {"access_token": backend.new_logs_token()}

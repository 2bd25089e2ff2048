"""Whether the agent is going on or going down: going down overrides every wish without writing it (rule
7.1).
"""

from dataclasses import replace
from datetime import UTC, datetime
from enum import Enum

from runner_agent.model.phases import ServicePhase
from runner_agent.model.records import Deletion, Service
from runner_agent.model.specs import Cause


class Course(Enum):
    """What the agent is about."""

    ON = "on"
    DOWN = "down"
    DOWN_NOW = "down now"


AGENT_STOP = "the agent's own stop"


class Mode:
    """The agent's course; going down, it only ever goes further down, until nothing is left."""

    def __init__(self) -> None:
        self.course = Course.ON

    @property
    def closing(self) -> bool:
        """Everything is to come down."""
        return self.course is not Course.ON

    def wish_for(self, service: Service) -> Service:
        """The service as it is to be treated: as wished for, or, when the agent goes down, as unwanted."""
        if self.course is Course.ON:
            return service
        unwanted = replace(service, spec=replace(service.spec, desired_phase=ServicePhase.STOPPED))
        if self.course is Course.DOWN_NOW:
            return replace(
                unwanted, deletion=Deletion(Cause(AGENT_STOP, datetime.fromtimestamp(0, UTC)), force=True)
            )
        return unwanted

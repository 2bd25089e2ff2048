"""The nouns: frozen, complete, and saying what they say they say."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil

import pytest

import runner_agent.model
from runner_agent.model.errors import IllegalFact, InvalidArgument, RunnerError, Violation
from runner_agent.model.ids import PlanStepId, Reference, ServiceId, SessionId
from runner_agent.model.phases import ExecutionPhase, ServicePhase, Trigger
from runner_agent.model.plans import Group, Plan, PlanStep, ServiceWork
from runner_agent.model.records import Key, Kind, Service
from runner_agent.model.specs import Cause, Launch, ServiceCommands, ServiceMetadata, ServiceSpec
from tests.support.histories import NOON


def nouns() -> list[type]:
    """Every dataclass of the floor."""
    found: list[type] = []
    for info in pkgutil.iter_modules(runner_agent.model.__path__):
        module = importlib.import_module(f"runner_agent.model.{info.name}")
        found += [
            one
            for _, one in inspect.getmembers(module, dataclasses.is_dataclass)
            if inspect.isclass(one) and one.__module__ == module.__name__
        ]
    return found


@pytest.mark.parametrize("noun", nouns(), ids=lambda noun: noun.__name__)
def test_nouns_are_frozen_and_slotted(noun: type) -> None:
    assert vars(noun)["__dataclass_params__"].frozen
    assert "__slots__" in vars(noun)


def test_rule_3_1_and_4_3_phases_by_the_names_of_the_api() -> None:
    assert [phase.value for phase in ServicePhase] == [
        "STARTING",
        "RUNNING",
        "STOPPING",
        "STOPPED",
        "FAILED",
        "DELETED",
    ]
    assert {phase for phase in ExecutionPhase if phase.terminal} == {
        ExecutionPhase.SUCCEEDED,
        ExecutionPhase.FAILED,
        ExecutionPhase.STOPPED,
    }


def test_rule_2_3_triggers_by_the_names_of_the_file() -> None:
    assert {trigger.value for trigger in Trigger} == {
        "manual",
        "postMachineStart",
        "postDevcontainerStart",
        "postEnvironmentStart",
        "prebuild",
        "beforeSnapshot",
    }


def test_rule_3_1_a_new_service_is_stopped() -> None:
    metadata = ServiceMetadata(Reference("web"), "Web", NOON)
    service = Service(
        ServiceId("1"), metadata, ServiceSpec(Launch(ServiceCommands("x"))), Cause("uid 0", NOON)
    )
    assert service.status.phase is ServicePhase.STOPPED
    assert service.spec.desired_phase is ServicePhase.STOPPED
    assert service.key == Key(Kind.SERVICE, "1")
    assert str(service.key) == "service/1"


def test_a_plan_lists_its_steps_in_order() -> None:
    work = ServiceWork(ServiceId("s"), SessionId("x"))
    one, two = (PlanStep(PlanStepId(id_), Reference(id_), work) for id_ in "ab")
    assert Plan((Group((one,)), Group((two,)))).steps() == (one, two)


def test_rule_1_3_an_invalid_argument_names_every_violation() -> None:
    error = InvalidArgument(Violation("spec.commands.start", "must not be empty"), Violation("", "is odd"))
    assert str(error) == "spec.commands.start: must not be empty; is odd"
    assert [one.path for one in error.violations] == ["spec.commands.start", ""]


def test_a_defect_is_no_error_for_users() -> None:
    error = IllegalFact("run", "idle", "ended")
    assert not isinstance(error, RunnerError)
    assert str(error) == "run: 'ended' cannot follow 'idle'"

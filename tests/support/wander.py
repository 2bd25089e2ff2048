"""A service wandering at random through the states it can reach, for tests that look at each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner_agent.model.runs import Ending, Exited, Lost, Signaled
from tests.support.histories import Choices, Program, ServiceStage, State, a_launch

if TYPE_CHECKING:
    from collections.abc import Generator

ENDINGS: tuple[Ending, ...] = (Exited(0), Exited(1), Signaled(15), Lost("supervisor lost"))
PAUSES = (0.0, 1.0, 10.0, 30.0, 120.0)
LAUNCHES = tuple(
    a_launch(ready=ready, stop=stop, timeout=timeout)
    for ready, timeout in (("", None), ("probe", None), ("probe", 30.0))
    for stop in ("", "bye")
)


def wander(data: bytes) -> Generator[ServiceStage]:
    """The same stage again and again, each time one step further, until it is removed or `data` ends."""
    choices = Choices(data)
    stage = ServiceStage(choices.of(LAUNCHES))
    yield stage
    while choices and not stage.removed():
        programs = stage.unfinished
        if programs and choices.below(3):
            _news(stage, choices.of(programs), choices)
        else:
            _wish(stage, choices)
        if not stage.removed():
            yield stage


def _news(stage: ServiceStage, program: Program, choices: Choices) -> None:
    match program.state:
        case State.PROMISED if choices.below(6) == 0:
            program.refuse()
        case State.PROMISED:
            program.spawn()
        case State.LIVE:
            program.shrugs = choices.of((0, 0, 3))
            program.end(choices.of(ENDINGS), leftovers=choices.below(3) == 0)
        case State.ENDED:
            program.clear()
        case State.EMPTY:
            pass
    if program.untold:
        stage.tell(program, last_line="last words")
    stage.look()


def _wish(stage: ServiceStage, choices: Choices) -> None:
    match choices.below(8):
        case 0 | 1:
            if stage.service.deletion is None:
                stage.start()
        case 2:
            stage.stop()
        case 3 if choices.below(4) == 0:
            stage.delete(force=choices.below(2) == 0)
        case 4 if choices.below(6) == 0:
            stage.reboot()
        case _:
            stage.after(choices.of(PAUSES))

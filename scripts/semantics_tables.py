"""The tables of docs/semantics.md, made from a walk over every state the machines of `core` can reach."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import combinations_with_replacement

from semantics_walk import decisions, runs, step_walk, walk, words

from runner_agent.core import service as service_rules
from runner_agent.core import step as step_rules
from runner_agent.core import view
from runner_agent.core.plan import aggregate
from runner_agent.model.ids import (
    PlanStepId,
    Reference,
    ServiceId,
    SessionId,
)
from runner_agent.model.phases import ExecutionPhase, ServicePhase
from runner_agent.model.plans import Group, Plan, PlanStep, ServiceWork
from runner_agent.model.runs import (
    Ended,
    Live,
    ServiceRun,
    Starting,
    StepRun,
    Up,
)

Table = dict[str, dict[str, set[str]]]
"""Row, column, and what stands there."""


def _table(
    head: str, columns: Iterable[str], rows: Mapping[str, Mapping[str, set[str]]], empty: str = ""
) -> str:
    columns = list(columns)
    lines = [f"| {head} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, cells in rows.items():
        texts = (", ".join(sorted(cells.get(column, ()))) or empty for column in columns)
        lines.append(f"| {name} | {' | '.join(texts)} |")
    return "\n".join(lines)


def _course(run: ServiceRun | StepRun) -> str:
    return "up" if isinstance(run.course, Up) else "down"


PROC_WORDS = {
    "Idle": "none",
    "Starting": "promised",
    "Live": "lives",
    "Ended": "left something",
    "Gone": "gone",
}


def service_phases() -> str:
    """The phase of every reachable state, told by no more than it hangs on."""
    by_state: defaultdict[tuple[str, str, str], list[ServiceRun]] = defaultdict(list)
    for run in runs():
        others = any(isinstance(one, Starting | Live | Ended) for one in (run.ready, run.stop))
        rest = "the probe's or stop's tree is not empty" if others else "empty"
        by_state[_course(run), PROC_WORDS[type(run.start).__name__], rest].append(run)
    lines = ["| course | `start` | `ready` and `stop` | phase |", "|---|---|---|---|"]
    for (course, start, rest), alike in sorted(by_state.items(), key=_order):
        lines.append(f"| {course} | {start} | {rest} | {_phase_words(alike)} |")
    return "\n".join(lines)


def _order(item: tuple[tuple[str, str, str], list[ServiceRun]]) -> tuple[bool, int, str]:
    course, start, rest = item[0]
    return course == "down", list(PROC_WORDS.values()).index(start), rest


def _phase_words(alike: list[ServiceRun]) -> str:
    phases = {view.phase(run) for run in alike}
    if len(phases) == 1:
        return phases.pop().value
    for when, split in (
        (" once ready", lambda run: run.is_ready),
        (" with a failure", lambda run: bool(run.failure)),
    ):
        yes = {view.phase(run) for run in alike if split(run)}
        no = {view.phase(run) for run in alike if not split(run)}
        if len(yes) == len(no) == 1:
            return f"{yes.pop().value}{when}, else {no.pop().value}"
    due = {view.phase(run) for run in alike if not service_rules.over(run)}
    done = {view.phase(run).value for run in alike if service_rules.over(run)}
    return f"{' or '.join(sorted(done))}; {due.pop().value} while the stop command is still due"


def service_facts() -> str:
    """Which fact leads from which phase to which."""
    table: Table = defaultdict(lambda: defaultdict(set))
    for one in walk():
        table[one.fact][view.phase(one.before).value].add(view.phase(one.after).value)
    columns = [phase.value for phase in ServicePhase if phase is not ServicePhase.DELETED]
    return _table("fact, in phase", columns, dict(sorted(table.items())), empty="–")


def service_decisions() -> str:
    """What may be asked for in which phase, by wish."""
    table: Table = defaultdict(lambda: defaultdict(set))
    for run in runs():
        for wish, action in decisions(run):
            table[view.phase(run).value][wish].add(words(action))
    order = [phase.value for phase in ServicePhase]
    rows = {phase: table[phase] for phase in order if phase in table}
    return _table("phase", ("wanted", "unwanted", "forced"), rows, empty="nothing")


# --- steps and executions


def step_facts() -> str:
    """Which fact leads from which phase of a step to which; it has none before it is spawned."""
    table: Table = defaultdict(lambda: defaultdict(set))
    table["spawn task"]["not begun"].add(ExecutionPhase.RUNNING.value)
    for one in step_walk():
        table[one.fact][_step_phase(one.before)].add(_step_phase(one.after))
    columns = ["not begun", *(phase.value for phase in ExecutionPhase if phase is not ExecutionPhase.PENDING)]
    return _table("fact, in phase", columns, dict(sorted(table.items())), empty="–")


def _step_phase(run: StepRun) -> str:
    status = step_rules.view(run)
    return status.phase.value if status else "not begun"


def execution_phases() -> str:
    """The aggregate of two steps of one group."""
    ids = PlanStepId("a"), PlanStepId("b")
    work = ServiceWork(ServiceId("x"), SessionId("s"))
    plan = Plan((Group(tuple(PlanStep(id_, Reference(id_), work) for id_ in ids)),))
    options = [None, *(phase for phase in ExecutionPhase if phase is not ExecutionPhase.PENDING)]
    lines = ["| one step | the other | execution | and asked to stop |", "|---|---|---|---|"]
    for pair in combinations_with_replacement(options, 2):
        phases = {id_: phase for id_, phase in zip(ids, pair, strict=True) if phase is not None}
        names = [phase.value if phase else "not begun" for phase in pair]
        plainly, stopping = (aggregate(plan, phases, stopping=asked).value for asked in (False, True))
        lines.append(f"| {names[0]} | {names[1]} | {plainly} | {stopping} |")
    return "\n".join(lines)

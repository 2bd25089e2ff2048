"""Whether the histories would notice: small defects put into the code, each of which some history must show.

    python -m tests.histories.mutations --report bench/results/trials/mutations.jsonl

A mutation is a piece of text and what takes its place, in a copy of the source. It is caught when one of the
first `MOST` histories by seed fails, or one that is kept; each verdict is one line of the report, and
what has one is not tried again.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST = 500
"""Histories of forty steps."""
PATIENCE = 600.0
"""Seconds until a mutation counts as caught for never coming to an end."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """A defect: `was` stands once in the file, below src/runner_agent."""

    name: str
    file: str
    was: str
    becomes: str


MUTATIONS = (
    # --- deadlines
    Mutation(
        "SIGKILL after half the grace",
        "core/ladder.py",
        "terminated_at + grace\n",
        "terminated_at + grace / 2\n",
    ),
    Mutation(
        "SIGKILL at the moment of SIGTERM",
        "core/ladder.py",
        "return rest(Instant(deadline)) if now < deadline else",
        "return",
    ),
    Mutation(
        "leftovers are never killed",
        "core/ladder.py",
        "return rest(due) if now < due and not kills.count else kill(role, proc, kills, now, timing)",
        "return rest(due) if now < due else REST",
    ),
    Mutation(
        "what outlives SIGKILL is not tried again",
        "core/ladder.py",
        "or now >= (look := next_look(kills, timing)):\n        return do(Kill(role))\n    return rest(look)",
        "or False:\n        return do(Kill(role))\n    return REST",
    ),
    Mutation(
        "what outlives SIGKILL is tried again at once",
        "core/ladder.py",
        "return Instant(kills.last + pause)",
        "return Instant(kills.last + 0 * pause)",
    ),
    Mutation("readiness has no limit", "core/session.py", "limit = readiness_limit(run)\n", "limit = 0.0\n"),
    Mutation(
        "readiness has half its limit",
        "core/session.py",
        "limit = readiness_limit(run)\n",
        "limit = readiness_limit(run) / 2\n",
    ),
    Mutation(
        "the next attempt comes at once",
        "core/service.py",
        "due = Instant(ended + timing.ready_interval)",
        "due = ended",
    ),
    Mutation(
        "a stop command may take half its time",
        "core/service.py",
        "deadline = Instant(began + timing.service_stop_grace)",
        "deadline = Instant(began + timing.service_stop_grace / 2)",
    ),
    Mutation(
        "a deadline begins anew with the next agent",
        "reconcile/life.py",
        "return Instant(min(now, told / 1e9)) if isinstance(told, int) else now",
        "return now",
    ),
    # --- wishes
    Mutation(
        "a stop is forgotten once it runs",
        "core/service.py",
        "and service.spec.desired_phase is ServicePhase.RUNNING\n        and service.spec.session == run",
        "and service.spec.session == run",
    ),
    Mutation(
        "a new session does not end the old",
        "core/service.py",
        "and service.spec.session == run.session",
        "and service.spec.session != ''",
    ),
    Mutation(
        "a start is forgotten while it stops",
        "core/wishes.py",
        "if pending(service) or standing(service):",
        "if pending(service) or standing(service) or service.status.phase is ServicePhase.STOPPING:",
    ),
    Mutation(
        "a start asked twice is two sessions",
        "core/wishes.py",
        "if pending(service) or standing(service):",
        "if pending(service):",
    ),
    Mutation(
        "a restart of what runs changes nothing",
        "core/wishes.py",
        "return service if pending(service) else _in_session",
        "return service if pending(service) or standing(service) else _in_session",
    ),
    Mutation(
        "force is forgotten",
        "core/service.py",
        "if forced and not course.force:",
        "if forced and course.force:",
    ),
    Mutation(
        "an execution's stop is forgotten by its steps",
        "core/step.py",
        "if not wanted(step):\n                return do(Note(StopAsked(now)))\n",
        "if False:\n                return REST\n",
    ),
    Mutation("what is deleted stays", "core/service.py", "return do(Remove())", "return REST"),
    # --- runs
    Mutation(
        "STOPPED while something lives",
        "core/session.py",
        "if any(proc.alive(one) for one in (run.start, run.ready, run.stop)):",
        "if any(proc.commanding(one) for one in (run.start, run.ready, run.stop)):",
    ),
    Mutation(
        "the probe is not ended with its service",
        "core/service.py",
        "probe = ladder.kill(READY, run.ready, run.ready_kills, now, timing)\n    if course.force",
        "probe = REST\n    if course.force",
    ),
    Mutation(
        "ready is run once more when it has succeeded",
        "core/service.py",
        "if run.is_ready:  # the probe has done its duty",
        "if run.is_ready and not run.launch.commands.ready:",
    ),
    Mutation(
        "stop is run though start had ended",
        "core/ladder.py",
        "too_late=isinstance(main, (Ended, Gone))",
        "too_late=False",
    ),
    Mutation(
        "SIGTERM though there is a stop command",
        "core/service.py",
        "if run.launch.commands.stop:\n        return probe | _with",
        "if not run.launch.commands.start:\n        return probe | _with",
    ),
    Mutation(
        "an exit code after a stop counts",
        "core/service_fold.py",
        "if isinstance(\n            run.course, Up\n        ) and proc.commanding(run.start):",
        "if proc.commanding(run.start):",
    ),
    Mutation(
        "a failed start reads STOPPED",
        "core/service_fold.py",
        'failure=blame("start", ending))',
        "failure='')",
    ),
    Mutation(
        "a promise found unkept is kept again",
        "reconcile/life.py",
        "handle = await (self._start() if fresh else self._find())",
        "handle = await self._start()",
    ),
    Mutation(
        "a run that ended while nobody looked is not taken up",
        "reconcile/lives.py",
        "case Starting(run_id=run_id) | Live(run_id=run_id) | Ended(run_id=run_id):\n                    if",
        "case Live(run_id=run_id) | Ended(run_id=run_id):\n                    if",
    ),
    Mutation(
        "what could not be followed is not looked at again",
        "reconcile/lives.py",
        "self._look_later(life.key, trouble.until - now)",
        "pass",
    ),
    Mutation(
        "what no record knows stays",
        "reconcile/leftovers.py",
        "unknown = traces.difference(self._known())",
        "unknown = traces.difference(traces)",
    ),
    # --- executions
    Mutation(
        "a group begins before the one below it",
        "core/plan.py",
        "is ExecutionPhase.SUCCEEDED for step in group.steps):\n            continue",
        "is not None for step in group.steps):\n            continue",
    ),
    Mutation(
        "the next group begins after a failure",
        "core/plan.py",
        # The first line alone changes nothing that can be seen: a group with a failure is not done.
        "ExecutionPhase.STOPPED) for phase in phases.values()):\n        return ()\n"
        "    for group in plan.groups:\n        if all(phases.get(step.id) is ExecutionPhase.SUCCEEDED for",
        "ExecutionPhase.STOPPED) for phase in ()):\n        return ()\n"
        "    for group in plan.groups:\n        if all(getattr(phases.get(step.id), 'terminal', False) for",
    ),
    Mutation(
        "a shared run goes with the first who lets go",
        "core/execution.py",
        "last = record.run is not None and not holders",
        "last = record.run is not None",
    ),
    Mutation(
        "a leftover of a step is no part of it",
        "core/step.py",
        "return isinstance(run.proc, Gone) or (",
        "return type(run.proc).__name__ in ('Ended', 'Gone') or (",
    ),
    Mutation(
        "a step that was to begin begins after a reboot",
        "core/step.py",
        "failed = replace(run, failure=run.failure or MACHINE_RESTARTED, survivors=())\n",
        "return run\n",
    ),
    Mutation(
        "a firing joins nothing",
        "control/joining.py",
        "if record.firing is None:",
        "if record.id:",
    ),
    Mutation(
        "what cannot be joined is not waited for",
        "core/execution.py",
        "if after is not None and in_the_way(self.step(after)):",
        "if after is not None and self.step(after) is None:",
    ),
    Mutation(
        "one who joins what waits does not wait",
        "core/sharing.py",
        "work = next((shown[task.id] for shown in shown_by.values()), None)",
        "work = TaskWork(task.id, going_on.record.spec, going_on.record.id)",
    ),
    Mutation(
        "a run that is to be stopped is joined",
        "core/sharing.py",
        "and bool(holders - stopping) and not ended_by_main",
        "",
    ),
    Mutation(
        "who waits for another run is not told of its end",
        "reconcile/loop.py",
        "for id_ in dict.fromkeys((*members, *others))]",
        "for id_ in members]",
    ),
    # --- versions
    Mutation(
        "the version does not move with the phase",
        "core/halves.py",
        "return (record.status,)",
        "return (record.status.output,)",
    ),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`caught`: what was told to be against the rules, "" if nothing was; `by`: in which history."""

    name: str
    file: str
    caught: str
    by: str
    seconds: float


def mutated(mutation: Mutation, folder: Path) -> None:
    """A copy of source and tests with the defect in it."""
    for part in ("src", "tests"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "src/runner_agent" / mutation.file
    text = path.read_text()
    if text.count(mutation.was) < 1:
        raise ValueError(f"{mutation.name}: {mutation.file} has no {mutation.was!r} any more")
    path.write_text(text.replace(mutation.was, mutation.becomes, 1))


PLAY = """
import json, sys, tests.histories.steps as steps, tests.histories.test_kept as kept
import runner_agent; assert runner_agent.__file__.startswith(sys.argv[1]), runner_agent.__file__

def caught(by, said):
    if said:
        print(json.dumps({"by": by, "caught": said}))
        sys.exit()

def fails(test):
    try:
        test()
    except Exception as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]

for seed in range(int(sys.argv[2])):
    caught(f"seed {seed}", steps.fault(steps.drawn(seed)))
for name, test in sorted(vars(kept).items()):
    if name.startswith("test_"):
        marks = getattr(test, "pytestmark", ())
        for point in (marks[0].args[1] if marks else (None,)):
            caught(name, fails(test if point is None else lambda: test(point)))
print("{}")
"""


def judge(mutation: Mutation) -> Verdict:
    """Play histories of the mutated code until one fails. ValueError if they cannot be played."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutation-") as name:
        folder = Path(name)
        mutated(mutation, folder)
        environ = {**os.environ, "PYTHONPATH": f"{folder / 'src'}:{folder}"}
        try:
            done = subprocess.run(
                [sys.executable, "-c", PLAY, name, str(MOST)],
                cwd=folder,
                env=environ,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
            if done.returncode:
                raise ValueError(f"{mutation.name}: this is no program any more:\n{done.stderr}")
            told = json.loads(done.stdout.splitlines()[-1])
        except subprocess.TimeoutExpired:
            told = {"caught": "does not come to an end", "by": "the clock"}
    caught, by = _first(str(told.get("caught", ""))), str(told.get("by", ""))
    return Verdict(mutation.name, mutation.file, caught, by, round(time.monotonic() - began, 1))


def _first(said: str) -> str:
    """Of all that was told to be wrong."""
    text = said.removeprefix("AssertionError: ")
    if text.startswith("["):
        text = str(ast.literal_eval(text)[0])
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "...", text)[:120]


def known(report: Path) -> dict[str, Verdict]:
    """Verdicts so far, the newest of each."""
    lines = report.read_text().splitlines() if report.exists() else []
    return {one["name"]: Verdict(**one) for one in map(json.loads, lines)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", type=Path, required=True, help="gets a JSON line for each verdict")
    parser.add_argument("--only", default="", help="those whose names hold this, also if they are known")
    options = parser.parse_args()
    made = known(options.report)
    for mutation in MUTATIONS:
        if options.only not in mutation.name or (mutation.name in made and not options.only):
            continue
        verdict = judge(mutation)
        with options.report.open("a") as file:
            file.write(json.dumps(asdict(verdict)) + "\n")
        print(
            f"{verdict.name}: {verdict.caught or 'NOT SEEN'} ({verdict.by}, {verdict.seconds} s)", flush=True
        )
    missed = [one.name for one in known(options.report).values() if not one.caught]
    print(f"not seen: {missed}" if missed else "all are seen")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

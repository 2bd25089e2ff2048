"""How much something uses, in few characters and in words; limits only where the agent told of some."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner_agent.cli.figures import memory_of, peak_of, processes_of, usage_in_words
from runner_agent.cli.why import as_text

if TYPE_CHECKING:
    from runner_agent.client.agent_messages import Usage

PLAIN: Usage = {"cpuSeconds": 3.2, "memoryBytes": str(120 << 20), "processes": 1}
LIMITED: Usage = {
    "cpuSeconds": 3.2,
    "memoryBytes": str(120 << 20),
    "processes": 12,
    "memoryPeakBytes": str(300 << 20),
    "memoryMaxBytes": str(512 << 20),
    "processesMax": 400,
    "oomKills": "2",
    "heldBackSeconds": 1.5,
}


def test_without_limits() -> None:
    assert memory_of(PLAIN) == "120M"
    assert processes_of(PLAIN) == "1"
    assert peak_of(PLAIN) == ""
    assert usage_in_words(PLAIN) == "uses 120M, 1 process, 3.2s of processor time"
    assert memory_of(None) == "-"


def test_with_limits() -> None:
    assert memory_of(LIMITED) == "120M/512M +2 killed"
    assert processes_of(LIMITED) == "12/400"
    assert peak_of(LIMITED) == "300M"
    assert usage_in_words(LIMITED) == (
        "uses 120M of 512M (most so far 300M), 12/400 processes, 3.2s of processor time, "
        "held back for 1.5s by its limit of processors, 2 of its processes killed for lack of memory"
    )


def test_why_tells_it_of_runs_and_of_steps() -> None:
    run = as_text({"reference": "web", "runs": [{"role": "start", "state": "live", "usage": PLAIN}]})
    assert "    uses 120M, 1 process" in run
    steps = as_text(
        {"reference": "ci", "steps": [{"reference": "build", "runs": [{"state": "live", "usage": LIMITED}]}]}
    )
    assert "  build uses 120M of 512M" in steps

"""What a run that goes on was given, read out of its own environment: once the agent was restarted and a
secret rotated meanwhile, nobody else knows.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path


def variables_of(run_id: str, pids: Iterable[int], names: Collection[str]) -> Mapping[str, str]:
    """Those of `names` in the first of these processes that says it is of this run; none if none does."""
    own = f"RUNNER_AGENT_RUN_ID={run_id}"
    for pid in pids:
        try:
            content = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        items = content.decode("utf-8", "surrogateescape").split("\0")
        if own in items:
            pairs = (item.partition("=") for item in items)
            return {name: value for name, _, value in pairs if name in names and value}
    return {}

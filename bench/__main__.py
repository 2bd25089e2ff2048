"""`python -m bench [--quick] [SUBJECT ...]`: measure, show, and append to bench/results/."""

import argparse
import importlib
import sys
import time

from bench.measure import Busy, Figure, Size, append, commit, machine
from bench.report import figures_table

SUBJECTS = ("request", "ending", "fleet", "plans", "reads", "api", "standing", "logs", "redaction", "command")
ON_REQUEST = ("systemd", "docker")
"""Measured when named: they need root, or a machine that not everybody has."""


def main() -> int:
    """All subjects, or those named. A subject that fails costs its own figures only."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    known = f"of {', '.join(SUBJECTS)} (default: all of these), {', '.join(ON_REQUEST)}"
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=known)
    parser.add_argument(
        "--quick", action="store_true", help="a short form, under a minute; kept out of the tables"
    )
    parser.add_argument("--dry", action="store_true", help="append nothing to bench/results/")
    options = parser.parse_args()
    if unknown := set(options.subjects) - {*SUBJECTS, *ON_REQUEST}:
        parser.error(f"no subject is called {', '.join(sorted(unknown))}")
    failed = False
    shown: list[Figure] = []
    for subject in options.subjects or SUBJECTS:
        busy, begun = Busy(), time.monotonic()
        figures: list[Figure] = []
        try:
            figures += importlib.import_module(f"bench.figures.{subject}").measure(Size(options.quick))
        except (OSError, RuntimeError) as error:
            print(f"{subject} cannot be measured: {error}", file=sys.stderr)
            failed = True
            continue
        print(
            f"{subject}: {time.monotonic() - begun:.0f} s, machine {busy.share():.0%} busy", file=sys.stderr
        )
        shown += figures
        if not options.dry:
            facts: dict[str, object] = {
                "quick": options.quick,
                "busy": round(busy.share(), 2),
                "commit": commit(),
                **machine(),
            }
            append(subject, figures, facts)
    print(figures_table(shown))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

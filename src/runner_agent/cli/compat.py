"""`gitpod` and `ona` inside runs: the verbs that real automations files use, answered by this agent."""

import sys
from collections.abc import Sequence
from typing import NoReturn, assert_never

from runner_agent.cli.exits import DONE, INVALID
from runner_agent.cli.streams import make_usable
from runner_agent.control.vendor_verbs import Verb, verb_of


def main() -> NoReturn:
    """By the scripts that `executors.environment` writes: the first argument is the name it was called by."""
    make_usable()
    name, *arguments = sys.argv[1:] or ["gitpod"]
    sys.exit(answer(name, arguments))


def answer(name: str, arguments: Sequence[str]) -> int:
    """The exit code."""
    verb, rest = verb_of(arguments)
    match verb:
        case Verb.AUTOMATIONS:
            from runner_agent.cli.main import run

            return run(["automations", *rest])
        case Verb.OPEN_PORT:
            return _open_port(name, rest)
        case Verb.HELP:
            print(_usage(name))
            return DONE
        case Verb.VERSION:
            from runner_agent import __version__

            print(f"{name} as answered by runner-agent {__version__}")
            return DONE
        case None:
            return _refuse(name, f"`{name} {' '.join(arguments)}` cannot be done by this agent.")
        case _:
            assert_never(verb)


def _open_port(name: str, words: Sequence[str]) -> int:
    """Nothing has to be opened here: whoever can reach this machine reaches its ports."""
    if "--help" in words or "-h" in words:
        print(_usage(name))
        return DONE
    number = next((word for word in words if word.isascii() and word.isdigit()), "")
    if not number or len(number) > 5 or not 1 <= int(number) <= 65535:
        return _refuse(name, f"Which port? Write `{name} environment port open 3000`.")
    print(f"http://localhost:{int(number)}")
    return DONE


def _usage(name: str) -> str:
    return (
        f"Here `{name}` is answered by runner-agent, the agent that runs this environment's automations:\n"
        f"  {name} automations ...                       the same as runner-agent automations ...\n"
        f"  {name} environment port open PORT [--name N] prints http://localhost:PORT"
    )


def _refuse(name: str, reason: str) -> int:
    print(f"Error: {reason}\n{_usage(name)}", file=sys.stderr)
    return INVALID


if __name__ == "__main__":
    main()

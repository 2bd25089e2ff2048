"""`python -m runner_agent` is the same as `runner-agent`."""

from runner_agent.cli.entry import main

if __name__ == "__main__":
    main()

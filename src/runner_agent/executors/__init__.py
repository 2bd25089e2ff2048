"""Charter: executors run commands somewhere (the machine, Docker, a dev container) behind one protocol.

They know processes, not services: no phase, no retry, no deadline lives here. All pass one conformance suite.
"""

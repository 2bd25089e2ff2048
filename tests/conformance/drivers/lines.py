"""Requests as JSON lines on standard input, answers as JSON lines on standard output, each in its own thread.

{"id": 1, "do": "call", ...}          -> {"id": 1, "result": ...} or {"id": 1, "error": {...}}
{"id": 2, "do": "open", ...}          -> {"id": 2, "result": null}
{"id": 3, "do": "next", "of": 2}      -> {"id": 3, "result": [item]}, or [] once there are no more
{"id": 4, "do": "close", "of": 2}     -> {"id": 4, "result": null}
"""

import itertools
import json
import os
import sys
import threading


def serve(call, open_, tell):
    """Until standard input ends. `call` and `open_` take a request; what `open_` returns can be closed."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever prints must not spoil the answers
    writing = threading.Lock()
    opened = {}

    def work(request):
        match request["do"]:
            case "call":
                return call(request)
            case "open":
                opened[request["id"]] = open_(request)
            case "next":
                return list(itertools.islice(opened[request["of"]], request["count"]))
            case "close":
                opened.pop(request["of"]).close()
        return None

    def answer(request):
        try:
            told = {"result": work(request)}
        except Exception as error:  # noqa: BLE001  # whatever the SDK raises is the answer
            told = {"error": {"type": type(error).__name__, "message": str(error), **tell(error)}}
        with writing:
            answers.write(json.dumps({"id": request["id"], **told}) + "\n")
            answers.flush()

    for line in sys.stdin:
        threading.Thread(target=answer, args=(json.loads(line),), daemon=True).start()
    answers.flush()
    os._exit(0)  # threads may still wait for a server

"""The SDKs 0.11 and 0.12 for Python, by their sync or their async client."""

import asyncio
import functools
import inspect
import json
import re
import sys
import threading

import gitpod
import lines
from gitpod.lib import automation, environment

MODE = sys.argv[1]
LOOP = asyncio.new_event_loop()
threading.Thread(target=LOOP.run_forever, daemon=True).start()


def wait(value):
    """The async client's answers are awaited, the sync one's are there."""
    if not inspect.isawaitable(value):
        return value

    async def settle():
        return await value

    return asyncio.run_coroutine_threadsafe(settle(), LOOP).result()


@functools.cache
def client(mode, settings):
    told = json.loads(settings)
    kind = gitpod.AsyncGitpod if mode == "async" else gitpod.Gitpod
    return kind(
        base_url=told["base"],
        bearer_token=told["token"],
        max_retries=told["retries"],
        default_headers=told["headers"],
    )


def client_of(request, mode=MODE):
    return client(mode, json.dumps(request["client"], sort_keys=True))


def method_of(request):
    return functools.reduce(getattr, request["path"].split("."), client_of(request))


def arguments(request):
    """The SDK takes snake_case; the keys of a file's maps are all lower case and stay as they are."""
    given = snake(request["body"])
    return given if request["timeout"] is None else {**given, "timeout": request["timeout"]}


def snake(tree):
    if isinstance(tree, dict):
        return {re.sub("[A-Z]", lambda m: "_" + m[0].lower(), key): snake(each) for key, each in tree.items()}
    return [snake(each) for each in tree] if isinstance(tree, list) else tree


def plain(value):
    return value.to_dict(mode="json") if hasattr(value, "to_dict") else value


def call(request):
    return plain(wait(method_of(request)(**arguments(request))))


class Pulled:
    """An async iterator, driven from threads."""

    def __init__(self, items, close):
        self._items, self._close = aiter(items), close

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return plain(wait(anext(self._items)))
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self):
        wait(self._close())


def open_(request):
    match request["what"]:
        case "commands":
            return commands(request)
        case "running":
            asynchronous = client_of(request, "async")
            wait(environment.wait_for_environment_running(asynchronous, request["environment_id"]))
            return (none for none in ())
        case "list" if MODE == "async":
            items = aiter(method_of(request)(**arguments(request)))
            return Pulled(items, items.aclose)
        case "list":
            return (plain(item) for item in method_of(request)(**arguments(request)))
        case "watch" if MODE == "async":
            stream = wait(method_of(request)(**arguments(request)))
            return Pulled(stream, stream.http_response.aclose)
        case "watch":
            return Watched(method_of(request)(**arguments(request)))


class Watched:
    def __init__(self, stream):
        self._stream, self.close = stream, stream.close

    def __iter__(self):
        return self

    def __next__(self):
        return plain(next(self._stream))


def commands(request):
    """The SDK's own way to run something and read its log, with a token for logs that it asks for itself."""
    run = getattr(automation, request["path"])
    items = wait(run(client_of(request, "async"), **snake(request["body"])))
    return Pulled(items, items.aclose)


def tell(error):
    body = getattr(error, "body", None)
    told = body if isinstance(body, dict) else {}
    return {
        "code": getattr(error, "code", None),
        "status": getattr(error, "status_code", None),
        "told": told.get("message"),
    }


lines.serve(call, open_, tell)

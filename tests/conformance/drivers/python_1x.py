"""The SDK 1.2 for Python: generated Connect clients, and protobuf messages from the SDK's own descriptors."""

import functools
import re
import urllib.request

import lines
import ona_sdk
from gitpod.v1 import environment_automation_pb2, environment_pb2, event_pb2
from google.protobuf import json_format

SERVICES = {
    "EnvironmentAutomationService": ("environment_automation", environment_automation_pb2),
    "EventService": ("event", event_pb2),
    "EnvironmentService": ("environment", environment_pb2),
}


@functools.cache
def client(base, token):
    return ona_sdk.create_client(api_key=token, base_url=base)


def method_of(request):
    service, _, name = request["method"].partition("/")
    attribute, messages = SERVICES[service]
    told = request["client"]
    stub = getattr(client(told["base"], told["token"]).services, attribute)
    method = getattr(stub, re.sub("(?<!^)[A-Z]", lambda m: "_" + m[0], name).lower())
    options = {"headers": told["headers"]} if told["headers"] else {}
    if request["timeout"] is not None:
        options["timeout_ms"] = round(request["timeout"] * 1000)
    if request["by_get"]:
        options["use_get"] = True
    return functools.partial(method, **options), getattr(messages, f"{name}Request")


def call(request):
    method, kind = method_of(request)
    return json_format.MessageToDict(method(json_format.ParseDict(request["body"], kind())))


def open_(request):
    match request["what"]:
        case "list":
            return pages(request)
        case "watch":
            method, kind = method_of(request)
            stream = method(json_format.ParseDict(request["body"], kind()))
            return Streamed(stream)
        case "log":
            return log(request)


class Streamed:
    def __init__(self, stream):
        self._stream, self.close = stream, stream.close

    def __iter__(self):
        return self

    def __next__(self):
        return json_format.MessageToDict(next(self._stream))


def pages(request):
    """This SDK leaves paging to its user."""
    body = {"pagination": {}, **request["body"]}
    while True:
        answer = call({**request, "body": body})
        for name, items in answer.items():
            if name != "pagination":
                yield from items
        token = answer.get("pagination", {}).get("nextToken", "")
        if not token:
            return
        body = {**body, "pagination": {**body["pagination"], "token": token}}


def log(request):
    """And logs too: a GET with the token, line by line."""
    headers = {"Authorization": f"Bearer {request['client']['token']}"}
    asked = urllib.request.Request(request["path"], headers=headers)
    with urllib.request.urlopen(asked, timeout=60) as response:
        for line in response:
            yield line.decode().removesuffix("\n")


def tell(error):
    code = getattr(error, "code", None)
    return {"code": getattr(code, "value", None), "told": getattr(error, "message", None)}


lines.serve(call, open_, tell)

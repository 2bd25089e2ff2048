"""The published descriptors and protovalidate: `TYPE BASE64` a line in, the broken rules as JSON out."""

import base64
import json
import sys

import protovalidate
from gitpod.v1 import environment_automation_pb2, environment_pb2, event_pb2

MODULES = (environment_automation_pb2, event_pb2, environment_pb2)


def path_of(violation):
    """As `spec.env[0].name`; a map's entries as `services["web"]`."""
    parts = []
    for element in violation.proto.field.elements:
        match element.subscript:
            case None:
                parts.append(element.field_name)
            case subscript if isinstance(subscript.value, str):
                parts.append(f'{element.field_name}["{subscript.value}"]')
            case subscript:
                parts.append(f"{element.field_name}[{subscript.value}]")
    return ".".join(parts) + (" key" if violation.proto.for_key else "")


for line in sys.stdin:
    name, _, data = line.partition(" ")
    kind = next(getattr(module, name) for module in MODULES if hasattr(module, name))
    message = kind.FromString(base64.b64decode(data))
    broken = [(path_of(one), one.proto.rule_id) for one in protovalidate.collect_violations(message)]
    print(json.dumps(broken), flush=True)

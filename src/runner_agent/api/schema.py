"""The message types of proto/, from the compiled descriptors, in a pool of our own.

A pool of our own, because a program may import this package and the official SDK: both describe `gitpod/v1`,
and one pool refuses two descriptions of one file.
"""

from functools import cache
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message

COMPILED = Path(__file__).with_name("schema.binpb")

_POOL = descriptor_pool.DescriptorPool()
for _file in descriptor_pb2.FileDescriptorSet.FromString(COMPILED.read_bytes()).file:
    _POOL.AddSerializedFile(_file.SerializeToString())


@cache
def message_type(name: str) -> type[Message]:
    """By its full name. KeyError if there is none.

    The types of its fields are kept along: what nobody keeps would be made anew for every message.
    """
    descriptor = _POOL.FindMessageTypeByName(name)
    for field in descriptor.fields:
        if field.message_type is not None:
            message_type(field.message_type.full_name)
    return message_factory.GetMessageClass(descriptor)


def service(name: str) -> ServiceDescriptor:
    """By its full name. KeyError if there is none."""
    return _POOL.FindServiceByName(name)


def request_type(method: MethodDescriptor) -> type[Message]:
    """What it takes."""
    return message_type(method.input_type.full_name)


def enum_numbers(name: str) -> dict[str, int]:
    """An enum's numbers by name. KeyError if there is none."""
    return {value.name: value.number for value in _POOL.FindEnumTypeByName(name).values}

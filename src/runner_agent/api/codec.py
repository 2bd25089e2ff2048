"""Bytes to messages and back: JSON and proto, plain or gzipped, never larger than the limit.

What a client sends is malformed until proven otherwise: every failure here is `invalid_argument` (or
`resource_exhausted` for size), and costs no more memory than the limit.
"""

import gzip
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn, TypeVar, cast

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from runner_agent.api.errors import Code, RpcError
from runner_agent.api.pieces import Composed, json_text
from runner_agent.kit.reading import value_of

LIMIT = 4 << 20
"""Bytes of one message, before and after decompression."""
WORTH_GZIP = 1400
"""Bytes. What fits into one packet anyhow gains nothing."""

M = TypeVar("M", bound=Message)

Sendable = Message | Composed
"""What can be written."""


@dataclass(frozen=True, slots=True)
class Codec:
    """One way to write messages."""

    name: str
    encode: Callable[[Sendable], bytes]
    _parse: Callable[[bytes, Message], None]

    def decode(self, data: bytes, kind: type[M]) -> M:
        """Raises RpcError invalid_argument."""
        message = kind()
        self._parse(data, message)
        return message


def too_large() -> RpcError:
    """The refusal of what passes the limit."""
    return RpcError(Code.RESOURCE_EXHAUSTED, f"the message is larger than {LIMIT} bytes: send less at a time")


def gunzip(data: bytes) -> bytes:
    """One whole gzip member. Raises RpcError; a bomb is cut off at the limit."""
    unzip = zlib.decompressobj(wbits=31)
    try:
        out = unzip.decompress(data, LIMIT + 1)
    except zlib.error as error:
        raise _malformed(f"the body is not gzip: {error}") from None
    if len(out) > LIMIT:
        raise too_large()
    if not unzip.eof or unzip.unused_data:
        raise _malformed(
            "the body is not one whole gzip stream: it is cut off or something follows it"
        ) from None
    return out


def squeeze(data: bytes) -> bytes:
    """Gzip, the quick way: our texts shrink to a tenth at the lowest level."""
    return gzip.compress(data, 1, mtime=0)


def _malformed(why: str) -> RpcError:
    return RpcError(Code.INVALID_ARGUMENT, why)


# ---------------------------------------------------------------- proto


def _parse_proto(data: bytes, message: Message) -> None:
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise _malformed(f"the body is not a {message.DESCRIPTOR.full_name} message") from None


def _encode_proto(message: Sendable) -> bytes:
    whole = message.message() if isinstance(message, Composed) else message
    return whole.SerializeToString()


PROTO = Codec("proto", _encode_proto, _parse_proto)


# ---------------------------------------------------------------- JSON


def _encode_json(message: Sendable) -> bytes:
    if isinstance(message, Composed):
        return message.json()
    return json_text(json_format.MessageToDict(message))


def _parse_json(data: bytes, message: Message) -> None:
    """No body at all is an empty message: clients send that for a call without arguments."""
    if not data:
        return
    try:
        tree = value_of(data.decode(), _no_constant)
    except ValueError as error:
        raise _malformed(f"the body is not JSON: {error}") from None
    known = _known(tree, cast(Descriptor, message.DESCRIPTOR), "")
    try:
        json_format.ParseDict(known, message)
    except (json_format.Error, ValueError, TypeError) as error:
        raise _malformed(str(error)) from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _known(tree: object, kind: Descriptor, path: str) -> dict[str, object]:
    """`tree` less the fields that `kind` does not have.

    A newer client may send them, so they are ignored. json_format can ignore them too, but then it ignores
    unknown names of enums as well, and those would change what is asked for.
    """
    if not isinstance(tree, dict):
        raise _malformed(f"{path or 'the body'}: must be an object, not {json.dumps(tree)[:40]}")
    fields = _fields(kind)
    return {
        name: _known_value(value, field, f"{path}.{name}" if path else name)
        for name, value in cast(dict[str, object], tree).items()
        if (field := fields.get(name)) is not None
    }


def _known_value(value: object, field: FieldDescriptor, path: str) -> object:
    nested = field.message_type
    if value is None or nested is None or nested.full_name.startswith("google.protobuf."):
        return value
    if nested.GetOptions().map_entry:
        item = nested.fields_by_name["value"]
        if item.message_type is None or not isinstance(value, dict):
            return value
        entries = cast(dict[str, object], value).items()
        return {key: _known_value(each, item, f"{path}.{key}") for key, each in entries}
    if not field.has_presence:  # of a message: a list
        if not isinstance(value, list):
            raise _malformed(f"{path}: must be a list, not {json.dumps(value)[:40]}")
        items = enumerate(cast(list[object], value))
        return [_known(each, nested, f"{path}[{index}]") for index, each in items]
    return _known(value, nested, path)


_FIELDS: dict[str, Mapping[str, FieldDescriptor]] = {}


def _fields(kind: Descriptor) -> Mapping[str, FieldDescriptor]:
    """By both names that JSON may use."""
    found = _FIELDS.get(kind.full_name)
    if found is None:
        found = {name: field for field in kind.fields for name in (field.name, field.json_name)}
        _FIELDS[kind.full_name] = found
    return found


JSON = Codec("json", _encode_json, _parse_json)

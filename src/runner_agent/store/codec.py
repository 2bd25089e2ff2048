"""Model values to compact JSON and back, compiled from type hints when a type is first met.

A dataclass is an object of its fields, less those that have their default: a field added with a default is
read from older rows. Where a union holds several dataclasses, each carries its class name as "t". A dataclass
that stands alone carries none, so a field that becomes a union of dataclasses needs a step in `schema`, like
a field or class that goes or changes its name. Anything of another type, on either way, is an error that says
where.
"""

import dataclasses
import json
import types
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import cache
from typing import Any, NewType, TypeVar, Union, get_args, get_origin, get_type_hints

from runner_agent.store.scalars import SCALARS, Codec, Never, Unreadable, Way, enum_codec, must_be

T = TypeVar("T")

TAG = "t"

_to_text = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False).encode
_from_text = json.JSONDecoder().decode


def encoder(cls: type[T], names: Iterable[str] | None = None) -> Callable[[T], str]:
    """JSON text of a dataclass; with `names`, of these fields of it alone. ASCII. Raises TypeError."""
    shape: Any = cls
    encode = _fields_encoder(shape, None if names is None else tuple(names))
    return lambda value: _to_text(encode(value))


def decoder(cls: type[T]) -> Callable[..., T]:
    """What reads one value from one or more JSON texts, each with some of its fields.

    Called with the texts, and with fields that are ready as keywords. Raises Unreadable.
    """
    shape: Any = cls
    decode = _fields_decoder(shape)

    def read(*texts: str, **ready: object) -> T:
        fields = ready
        for text in texts:
            try:
                parsed = _from_text(text)
            except ValueError as error:
                raise Unreadable(f"no JSON: {error}") from error
            fields.update(decode(parsed))
        return _build(cls, fields)

    return read


# ---------------------------------------------------------------- dataclasses

_NO_WAY: tuple[type, Way | None] = (Never, None)


@cache
def _fields_encoder(cls: Any, names: tuple[str, ...] | None) -> Way:
    hints = get_type_hints(cls)
    if TAG in hints:
        raise TypeError(f"{cls.__name__}.{TAG} cannot be stored: that name is the tag's")
    entries: list[tuple[str, type, Way, bool, Any]] = []
    for field in dataclasses.fields(cls):
        if names is None or field.name in names:
            default: Any = field.default
            if field.default_factory is not dataclasses.MISSING:
                default = field.default_factory()
            codec = _codec(hints[field.name])
            entries.append(
                (field.name, codec.plain, codec.encode, default is not dataclasses.MISSING, default)
            )

    def encode(value: Any) -> dict[str, Any]:
        if value.__class__ is not cls:
            raise TypeError(f"{value!r} cannot be stored as {cls.__name__}")
        out: dict[str, Any] = {}
        for name, plain, way, optional, default in entries:
            item = getattr(value, name)
            if optional and (item is default or item == default):
                continue
            try:
                out[name] = item if item.__class__ is plain else way(item)
            except Unreadable as error:
                raise TypeError(f"{cls.__name__}.{name} cannot be stored: {error}") from None
        return out

    return encode


@cache
def _fields_decoder(cls: Any) -> Callable[[Any], dict[str, Any]]:
    hints = get_type_hints(cls)
    codecs = {field.name: _codec(hints[field.name]) for field in dataclasses.fields(cls)}
    ways = {name: (codec.plain, codec.decode) for name, codec in codecs.items()}

    def decode(data: Any) -> dict[str, Any]:
        if data.__class__ is not dict:
            raise Unreadable(f"{data!r} is no {cls.__name__}")
        for name, value in data.items():
            plain, way = ways.get(name, _NO_WAY)
            if value.__class__ is plain:
                continue
            if way is None:
                raise Unreadable(f'{cls.__name__} has no field "{name}" in this version')
            try:
                data[name] = way(value)
            except Unreadable as error:
                raise error.under(name) from None
        return data

    return decode


def _build(cls: type[T], fields: dict[str, Any]) -> T:
    try:
        return cls(**fields)
    except TypeError as error:
        raise Unreadable(f"{cls.__name__} is not whole: {error}") from None


def _dataclass(cls: Any) -> Codec:
    fields = _fields_decoder(cls)

    def decode(data: Any) -> Any:
        return _build(cls, fields(data))

    return Codec(_fields_encoder(cls, None), decode, dict, Never)


# ---------------------------------------------------------------- containers and unions


def _many(item: Codec) -> Codec:
    encode_item, decode_item = item.encode, item.decode

    def encode(value: Any) -> list[Any]:
        must_be(tuple, value)
        return [encode_item(one) for one in value]

    def decode(data: Any) -> tuple[Any, ...]:
        must_be(list, data)
        return tuple([decode_item(one) for one in data])

    return Codec(encode, decode, list, Never)


def _row(items: tuple[Codec, ...]) -> Codec:
    def length_of(value: Any) -> None:
        if len(value) != len(items):
            raise Unreadable(f"{value!r} has not {len(items)} parts")

    def encode(value: Any) -> list[Any]:
        must_be(tuple, value)
        length_of(value)
        return [item.encode(one) for item, one in zip(items, value, strict=True)]

    def decode(data: Any) -> tuple[Any, ...]:
        must_be(list, data)
        length_of(data)
        return tuple([item.decode(one) for item, one in zip(items, data, strict=True)])

    return Codec(encode, decode, list, Never)


def _mapping(item: Codec) -> Codec:
    encode_item, decode_item, text = item.encode, item.decode, SCALARS[str].encode

    def encode(value: Any) -> dict[str, Any]:
        return {text(key): encode_item(one) for key, one in value.items()}

    def decode(data: Any) -> dict[str, Any]:
        must_be(dict, data)
        return {key: decode_item(one) for key, one in data.items()}

    return Codec(encode, decode, dict, Never)


def _tagged(classes: tuple[Any, ...]) -> Codec:
    codecs = {cls: _codec(cls) for cls in classes}
    names = {cls.__name__: codec.decode for cls, codec in codecs.items()}

    def encode(value: Any) -> dict[str, Any]:
        return {TAG: value.__class__.__name__, **codecs[value.__class__].encode(value)}

    def decode(data: Any) -> Any:
        name = data.pop(TAG, None)
        way = names.get(name)
        if way is None:
            raise Unreadable(f'"{name}" is not known to this version; one of {", ".join(names)} is')
        return way(data)

    return Codec(encode, decode, dict, Never)


def _union(members: tuple[Any, ...]) -> Codec:
    classes = tuple(member for member in members if dataclasses.is_dataclass(member))
    # Ids of several kinds are all strings, on disk as in memory: one case.
    plain = dict.fromkeys(_supertype(member) for member in members if member not in classes)
    codecs = {member: _codec(member) for member in plain}
    if classes:
        shared = _tagged(classes) if len(classes) > 1 else _codec(*classes)
        codecs.update(dict.fromkeys(classes, shared))
    by_type: dict[Any, Way] = {get_origin(member) or member: codec.encode for member, codec in codecs.items()}
    by_json = {codec.reads: codec.decode for codec in codecs.values()}
    if len(by_json) != len({id(codec) for codec in codecs.values()}):
        raise TypeError(f"{members} cannot be stored: two of them look alike as JSON")

    def encode(value: Any) -> Any:
        way = by_type.get(value.__class__)
        if way is None:
            raise Unreadable(f"{value!r} is none of {', '.join(one.__name__ for one in by_type)}")
        return way(value)

    def decode(data: Any) -> Any:
        way = by_json.get(data.__class__)
        if way is None:
            raise Unreadable(f"{data!r} is none of {', '.join(one.__name__ for one in by_type)}")
        return way(data)

    return Codec(encode, decode, object, types.NoneType if types.NoneType in by_type else Never)


# ---------------------------------------------------------------- compiling

_compiled: dict[Any, Codec] = dict(SCALARS)


def _supertype(of: Any) -> Any:
    while isinstance(of, NewType):
        of = of.__supertype__
    return of


def _codec(of: Any) -> Codec:
    of = _supertype(of)
    codec = _compiled.get(of)
    if codec is None:
        codec = _compiled[of] = _compile(of)
    return codec


def _compile(of: Any) -> Codec:
    origin: Any = get_origin(of)
    parts: tuple[Any, ...] = get_args(of)
    if origin in {types.UnionType, Union}:
        return _union(parts)
    if origin is tuple:
        return _many(_codec(parts[0])) if parts[1:] == (...,) else _row(tuple(map(_codec, parts)))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(_codec(parts[1]))
    if dataclasses.is_dataclass(of):
        return _dataclass(of)
    if isinstance(of, type) and issubclass(of, Enum):
        return enum_codec(of)
    raise TypeError(f"{of!r} cannot be stored: the store knows no JSON for it")

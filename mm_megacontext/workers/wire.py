"""Dataclasses as msgpack, and back with every value checked against its annotation.

What a process that read a hostile file sends back is not trusted: types, choices (``Literal``), the number of fields
and finite numbers are checked here, text loses its control characters; four floats are a box, in order.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Callable
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgpack

from mm_megacontext.document import Lines, clean_text

Decode = Callable[[Any], Any]

_BOX = (float, float, float, float)


class BadMessage(ValueError):
    """Bytes that are no message, or not the one that was expected."""


def pack(message: object) -> bytes:
    """A dataclass as bytes, led by the name of its class."""
    packed: bytes = msgpack.packb(
        [type(message).__name__, message], default=_plain, use_bin_type=True, unicode_errors="surrogatepass"
    )
    return packed


def unpack(data: bytes, *expected: Any) -> Any:
    """The message in ``data``, which must be one of the dataclasses ``expected``.

    Raises:
        BadMessage: It is not, or a value in it is not what its field is for.
    """
    try:
        name, value = msgpack.unpackb(data, raw=False, unicode_errors="surrogatepass", strict_map_key=True)
        for kind in expected:
            if kind.__name__ == name:
                return _decoder(kind)(value)
        raise BadMessage(f"{_told(name)} is not one of {', '.join(kind.__name__ for kind in expected)}")
    except BadMessage:
        raise
    except (ValueError, TypeError, RecursionError, OverflowError, msgpack.UnpackException) as e:
        raise BadMessage(f"no message ({type(e).__name__}: {e!s:.80})") from e


def _told(value: Any) -> str:
    """A value for a message: of what may be long, only what it is."""
    return repr(value) if type(value) in (int, float, bool, type(None)) else type(value).__name__


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    if hasattr(value, "item"):  # a scalar of numpy
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be sent")


@cache
def _decoder(hint: Any) -> Decode:
    """What turns a plain value into one of type ``hint``, or raises BadMessage."""
    if hint in _SCALARS:
        return _SCALARS[hint]
    if dataclasses.is_dataclass(hint):
        return lambda value: _instance(hint, value)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return _choice(arguments)
    if origin in (Union, types.UnionType):
        return _union(arguments)
    if origin is tuple and arguments[1:] == (Ellipsis,):
        item = _decoder(arguments[0])
        return lambda value: tuple(map(item, _list(value)))
    if origin is tuple:
        return _box if arguments == _BOX else _fixed(tuple(map(_decoder, arguments)))
    raise TypeError(f"no message can hold {hint}")


def _instance(kind: Any, value: Any) -> Any:
    decoders = _field_decoders(kind)
    if len(_list(value)) != len(decoders):
        raise BadMessage(f"{kind.__name__} has {len(decoders)} fields, not {len(value)}")
    return kind(**{name: decode(part) for (name, decode), part in zip(decoders, value, strict=True)})


@cache
def _field_decoders(kind: Any) -> tuple[tuple[str, Decode], ...]:
    hints = get_type_hints(kind, include_extras=True)
    return tuple((field.name, _decoder(hints[field.name])) for field in dataclasses.fields(kind))


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise BadMessage(f"{_told(value)} is no list")
    return value


def _exact(kind: type[Any]) -> Decode:
    def decode(value: Any) -> Any:
        if type(value) is not kind:
            raise BadMessage(f"{_told(value)} is no {kind.__name__}")
        return value

    return decode


def _number(value: Any) -> float:
    if type(value) not in (float, int) or not math.isfinite(value):
        raise BadMessage(f"{_told(value)} is no finite number")
    return float(value)


def _text(value: Any) -> str:
    if type(value) is not str:
        raise BadMessage(f"{_told(value)} is no text")
    return clean_text(value)


def _lines(value: Any) -> str:
    if type(value) is not str:
        raise BadMessage(f"{_told(value)} is no text")
    return "\n".join(map(clean_text, value.split("\n")))


def _box(value: Any) -> tuple[float, ...]:
    box = tuple(map(_number, _list(value)))
    if len(box) != 4 or box[0] > box[2] or box[1] > box[3]:
        raise BadMessage(f"{_told(value)} is no box")
    return box


def _choice(choices: tuple[Any, ...]) -> Decode:
    def decode(value: Any) -> Any:
        if type(value) not in (str, int) or value not in choices:
            raise BadMessage(f"{_told(value)} is none of {choices}")
        return value

    return decode


def _union(kinds: tuple[Any, ...]) -> Decode:
    """Of None and one other type."""
    (other,) = (kind for kind in kinds if kind is not types.NoneType)
    decode = _decoder(other)
    return lambda value: None if value is None else decode(value)


def _fixed(items: tuple[Decode, ...]) -> Decode:
    def decode(value: Any) -> tuple[Any, ...]:
        if len(_list(value)) != len(items):
            raise BadMessage(f"{len(value)} values where {len(items)} belong")
        return tuple(item(part) for item, part in zip(items, value, strict=True))

    return decode


_SCALARS: dict[Any, Decode] = {
    str: _text,
    Lines: _lines,
    float: _number,
    int: _exact(int),
    bool: _exact(bool),
    bytes: _exact(bytes),
}

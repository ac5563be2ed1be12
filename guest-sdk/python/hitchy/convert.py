"""Values from clients, made to fit the type hints of a handler. What does not fit is a 400 that names the place."""

from __future__ import annotations

import dataclasses
import enum
import json
import types
import typing
from typing import Any

from .errors import Failure

_WORDS = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    bytes: "bytes",
    list: "an array",
    dict: "an object",
    tuple: "an array",
    type(None): "null",
}
# The hints of a data class, which are costly to find out.
_FIELDS: dict[type, list[tuple[str, Any, bool]]] = {}


class Misfit(Exception):
    """A value that does not fit. `place` is the path to it, for example `room.name`."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(place, problem)
        self.place = place
        self.problem = problem

    def failure(self, whole: str) -> Failure:
        """Returns the 400 about a value of `whole`, for example `the body`."""
        at = f"`{self.place}`" if self.place else ""
        is_missing = self.problem == "is missing"
        inside = f"{at} {self.problem}" if is_missing else f"{at}: {self.problem}" if at else self.problem
        return Failure(400, f"{whole} does not fit: {inside}")


def is_scalar(hint: Any) -> bool:
    """Returns true for a type that one word of a URL can have."""
    if hint in (Any, str, int, float, bool) or isinstance(hint, type) and issubclass(hint, enum.Enum):
        return True
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return all(part is type(None) or is_scalar(part) for part in typing.get_args(hint))
    return origin is typing.Literal


def convert(value: Any, hint: Any, place: str = "") -> Any:
    """Returns a value of JSON as the hinted type: data classes, enums, lists, dictionaries, tuples, unions, scalars.

    Other hints leave the value as it is.
    """
    if hint is Any or hint is object or isinstance(hint, typing.TypeVar):
        return value
    if hint is None:
        hint = type(None)
    origin = typing.get_origin(hint)
    if origin is not None:
        return _convert_generic(value, hint, origin, place)
    if not isinstance(hint, type):
        return value
    if hint in _WORDS:
        return _convert_basic(value, hint, place)
    if issubclass(hint, enum.Enum):
        return _convert_enum(value, hint, place)
    if dataclasses.is_dataclass(hint):
        return _convert_dataclass(value, hint, place)
    if typing.is_typeddict(hint):
        return _convert_fields(value, _typed_dict_fields(hint), place)
    return value


def convert_text(text: str, hint: Any, place: str) -> Any:
    """Returns a word of a URL as the hinted scalar."""
    for candidate in _alternatives(hint):
        if candidate is Any or candidate is str:
            return text
        if candidate is bool and text in ("true", "false"):
            return text == "true"
        if candidate in (int, float):
            try:
                return candidate(text)
            except ValueError:
                continue
        is_word = isinstance(candidate, type) and issubclass(candidate, enum.Enum)
        if is_word or typing.get_origin(candidate) is typing.Literal:
            try:
                return convert(text, candidate, place)
            except Misfit:
                continue
    raise Misfit(place, f"expected {_wanted(hint)}, found {json.dumps(text)}")


def prepare(hint: Any) -> None:
    """Finds out the fields of the data classes in a hint, so that no call has to."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        if hint not in _FIELDS:
            for _, inner, _ in _fields(hint):
                prepare(inner)
    for part in typing.get_args(hint):
        prepare(part)


def _alternatives(hint: Any) -> tuple[Any, ...]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return typing.get_args(hint)
    return (hint,)


def _convert_basic(value: Any, hint: type, place: str) -> Any:
    if hint is float and type(value) is int:
        return float(value)
    if hint is int and type(value) is float and value.is_integer():
        return int(value)
    # `True` is a number for Python, and not for a client.
    if type(value) is not hint and not (hint is tuple and type(value) is list):
        raise Misfit(place, f"expected {_WORDS[hint]}, found {_found(value)}")
    return tuple(value) if hint is tuple else value


def _convert_generic(value: Any, hint: Any, origin: Any, place: str) -> Any:
    arguments = typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(value, hint, arguments, place)
    if origin is typing.Literal:
        if value in arguments:
            return value
        raise Misfit(place, f"expected {_wanted(hint)}, found {_found(value)}")
    if origin is typing.Annotated:
        return convert(value, arguments[0], place)
    if origin is dict:
        _convert_basic(value, dict, place)
        return {key: convert(item, arguments[1], _below(place, key)) for key, item in value.items()}
    if origin is list or origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        _convert_basic(value, list, place)
        items = [convert(item, arguments[0], _below(place, str(at))) for at, item in enumerate(value)]
        return items if origin is list else tuple(items)
    if origin is tuple:
        _convert_basic(value, list, place)
        if len(value) != len(arguments):
            raise Misfit(place, f"expected {len(arguments)} elements, found {len(value)}")
        return tuple(convert(item, arguments[at], _below(place, str(at))) for at, item in enumerate(value))
    return value


def _convert_union(value: Any, hint: Any, arguments: tuple[Any, ...], place: str) -> Any:
    # A value of exactly one of the types stays what it is: 5 in `float | int`.
    if type(value) in arguments:
        return value
    first: Misfit | None = None
    for candidate in arguments:
        try:
            return convert(value, candidate, place)
        except Misfit as misfit:
            if misfit.place != place:
                # It got further than the type itself, so its reason is the better one.
                first = first or misfit
    raise first or Misfit(place, f"expected {_wanted(hint)}, found {_found(value)}")


def _convert_enum(value: Any, hint: type[enum.Enum], place: str) -> enum.Enum:
    try:
        return hint(value)
    except ValueError:
        raise Misfit(place, f"expected {_wanted(hint)}, found {_found(value)}") from None


def _convert_dataclass(value: Any, hint: type, place: str) -> Any:
    return hint(**_convert_fields(value, _fields(hint), place))


def _convert_fields(value: Any, fields: list[tuple[str, Any, bool]], place: str) -> dict[str, Any]:
    _convert_basic(value, dict, place)
    values = {}
    for name, hint, is_required in fields:
        if name in value:
            values[name] = convert(value[name], hint, _below(place, name))
        elif is_required:
            raise Misfit(_below(place, name), "is missing")
    return values


def _fields(hint: type) -> list[tuple[str, Any, bool]]:
    if hint not in _FIELDS:
        hints = typing.get_type_hints(hint)
        missing = dataclasses.MISSING
        _FIELDS[hint] = [
            (field.name, hints[field.name], field.default is missing and field.default_factory is missing)
            for field in dataclasses.fields(hint)
            if field.init
        ]
    return _FIELDS[hint]


def _typed_dict_fields(hint: Any) -> list[tuple[str, Any, bool]]:
    hints = typing.get_type_hints(hint)
    return [(name, inner, name in hint.__required_keys__) for name, inner in hints.items()]


def _below(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _wanted(hint: Any) -> str:
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return "one of " + ", ".join(json.dumps(member.value) for member in hint)
    if typing.get_origin(hint) is typing.Literal:
        return "one of " + ", ".join(json.dumps(value) for value in typing.get_args(hint))
    parts = _alternatives(hint)
    if len(parts) > 1:
        return " or ".join(_wanted(part) for part in parts)
    origin = typing.get_origin(hint) or hint
    return _WORDS.get(origin, "an object")


def _found(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, str):
        shown = value if len(value) <= 40 else value[:40] + "…"
        return f"the string {json.dumps(shown, ensure_ascii=False)}"
    return {list: "an array", dict: "an object", bytes: "bytes"}.get(type(value), type(value).__name__)

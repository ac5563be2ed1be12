"""The arguments of events and acks: JSON whose bytes travel beside it."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
from typing import Any, Iterable

from . import host


def plain(value: Any) -> Any:
    """Returns an object of Python as JSON writes it: data classes, enums, dates, sets. `json.dumps` calls it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (set, frozenset)):
        return list(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def to_json(value: Any) -> str:
    """Returns a value as JSON text. NaN and infinite numbers, which JSON lacks, are errors."""
    return json.dumps(value, default=plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def encode(arguments: Iterable[Any]) -> Any:
    """Returns arguments as the server takes them. `bytes` may be anywhere inside."""
    attachments: list[bytes] = []

    def default(value: Any) -> Any:
        if isinstance(value, (bytes, bytearray, memoryview)):
            attachments.append(bytes(value))
            return {"_placeholder": True, "num": len(attachments) - 1}
        return plain(value)

    text = json.dumps(
        list(arguments), default=default, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    return host.types.Payload(text, attachments)


def decode(payload: Any) -> list[Any]:
    """Returns the arguments that the server passes, with their bytes in place."""
    attachments = payload.attachments
    if not attachments:
        # Without attachments, an object that looks like a placeholder is an ordinary object.
        return json.loads(payload.json)

    def replace(found: dict[str, Any]) -> Any:
        if found.get("_placeholder") is True and isinstance(found.get("num"), int) and len(found) == 2:
            return attachments[found["num"]]
        return found

    return json.loads(payload.json, object_hook=replace)


def unpacked(arguments: list[Any]) -> Any:
    """Returns the arguments of an ack: `None` for none, the only one, or a tuple of several."""
    if len(arguments) > 1:
        return tuple(arguments)
    return arguments[0] if arguments else None

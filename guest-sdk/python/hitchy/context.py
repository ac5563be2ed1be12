"""The context of a request or of a connection."""

from __future__ import annotations

import json
from typing import Any, Protocol

from . import host
from .payload import to_json


class _Owner(Protocol):
    def get(self, key: str) -> str | None: ...

    def set(self, key: str, value: str) -> None: ...


class Context:
    """Values that hooks and policies leave for the functions that run later, for example the user and their rights.

    The context of a connection lasts as long as the connection, also through reloads. That of a request starts as a
    copy of its socket's. A value is anything that JSON can write. There are at most 32 keys and 16 KiB.
    """

    __slots__ = ("_owner",)

    def __init__(self, owner: _Owner) -> None:
        self._owner = owner

    def get(self, key: str, default: Any = None) -> Any:
        """Returns a value, or `default` if the key is not set."""
        text = self._owner.get(key)
        return default if text is None else json.loads(text)

    def set(self, key: str, value: Any) -> None:
        """Sets a value. Raises a `Failure` with 413 when the context would be too large."""
        host.checked(self._owner.set, key, to_json(value))

    def __getitem__(self, key: str) -> Any:
        text = self._owner.get(key)
        if text is None:
            raise KeyError(key)
        return json.loads(text)

    def __setitem__(self, key: str, value: Any) -> None:
        self.set(key, value)

    def __contains__(self, key: str) -> bool:
        return self._owner.get(key) is not None

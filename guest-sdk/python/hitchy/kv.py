"""Keeps data between calls, in buckets of keys and values.

A handler has a bucket of its own, which the functions here use. Values are anything that JSON can write. When `set`
returns, the value is on the disk. Calls run side by side, so change a value with `update` or `increment`, not with a
`get` and a `set`:

    visits = kv.increment("visits")
    names = kv.update("names", lambda names: (names or []) + [name])
"""

from __future__ import annotations

import json
from typing import Any, Callable, Iterable, Iterator, Mapping, TypeVar

from . import host
from .errors import StoreError
from .payload import to_json

T = TypeVar("T")

_MAX_TRIES = 100


class Bucket:
    """An open bucket. It belongs to the call that opened it."""

    __slots__ = ("_name", "_handle")

    def __init__(self, name: str) -> None:
        self._name = name
        self._handle = self._checked(host.keyvalue.open, name)

    def get(self, key: str, default: Any = None) -> Any:
        """Returns the value of a key, or `default` if the key does not exist."""
        value = self.get_bytes(key)
        return default if value is None else _decoded(key, value)

    def get_bytes(self, key: str) -> bytes | None:
        """Returns the bytes of a value, whatever they are."""
        return self._checked(self._handle.get, key)

    def set(self, key: str, value: Any) -> None:
        """Sets the value of a key, whether it exists or not."""
        self.set_bytes(key, to_json(value).encode())

    def set_bytes(self, key: str, value: bytes) -> None:
        """Sets the value of a key to these bytes."""
        self._checked(self._handle.set, key, value)

    def delete(self, key: str) -> None:
        """Deletes a key. A key that does not exist is not an error."""
        self._checked(self._handle.delete, key)

    def exists(self, key: str) -> bool:
        """Returns true if the key exists."""
        return self._checked(self._handle.exists, key)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Returns the keys that begin with `prefix`, in the order of their bytes. They are read page by page."""
        cursor = None
        while True:
            page = self._checked(self._handle.list_keys, cursor)
            yield from (key for key in page.keys if key.startswith(prefix))
            cursor = page.cursor
            if cursor is None:
                return

    def update(self, key: str, change: Callable[[Any], T]) -> T:
        """Changes the value of a key as one step, and returns the new value. `change` gets the value that the key has,
        or `None`, and runs again when another call changed it meanwhile. An error that it raises changes nothing."""
        cas = self._checked(host.atomics.Cas.new, self._handle, key)
        for _ in range(_MAX_TRIES):
            old = self._checked(cas.current)
            new = change(None if old is None else _decoded(key, old))
            try:
                host.atomics.swap(cas, to_json(new).encode())
                return new
            except host.Err as error:
                if not hasattr(error.value.value, "current"):
                    raise self._error(error.value.value) from None
                cas = error.value.value
        raise StoreError(f"`{key}` was changed by other calls each time it was updated")

    def increment(self, key: str, delta: int = 1) -> int:
        """Adds `delta` to a number as one step, and returns the sum. A key that does not exist counts as 0."""
        return self._checked(host.atomics.increment, self._handle, key, delta)

    def push_bounded(self, key: str, item: Any, max: int) -> list[Any]:
        """Appends an item to a list as one step, keeps the last `max` items, and returns the list."""
        return self.update(key, lambda items: ((items or []) + [item])[-max:] if max > 0 else [])

    def get_many(self, keys: Iterable[str]) -> list[Any]:
        """Returns the values of several keys in their order, with `None` for a key that does not exist."""
        found = self._checked(host.batch.get_many, self._handle, list(keys))
        return [None if pair is None else _decoded(*pair) for pair in found]

    def set_many(self, values: Mapping[str, Any]) -> None:
        """Sets the values of several keys: all of them, or none if it fails."""
        pairs = [(key, to_json(value).encode()) for key, value in values.items()]
        self._checked(host.batch.set_many, self._handle, pairs)

    def delete_many(self, keys: Iterable[str]) -> None:
        """Deletes several keys: all of them, or none if it fails."""
        self._checked(host.batch.delete_many, self._handle, list(keys))

    def _checked(self, function: Callable[..., T], *arguments: Any) -> T:
        try:
            return function(*arguments)
        except host.Err as error:
            raise self._error(error.value) from None

    def _error(self, reason: Any) -> StoreError:
        kind = type(reason).__name__
        if kind == "Error_NoSuchStore":
            return StoreError(f"there is no bucket `{self._name}`")
        if kind == "Error_AccessDenied":
            return StoreError(
                f"this handler may not do that with the bucket `{self._name}`: grant it in the handler's settings, "
                f'buckets = {{ {self._name} = "read-write" }}'
            )
        return StoreError(f"the key-value store failed: {reason.value}")


def _decoded(key: str, value: bytes) -> Any:
    try:
        return json.loads(value)
    except ValueError as error:
        raise StoreError(f"the value of `{key}` is not JSON: {error}") from None


def bucket(name: str) -> Bucket:
    """Opens a bucket that the operator granted to the handler. `default` is the handler's own."""
    return Bucket(name)


def get(key: str, default: Any = None) -> Any:
    """Returns the value of a key, or `default` if the key does not exist."""
    return Bucket("default").get(key, default)


def set(key: str, value: Any) -> None:
    """Sets the value of a key, whether it exists or not."""
    Bucket("default").set(key, value)


def delete(key: str) -> None:
    """Deletes a key. A key that does not exist is not an error."""
    Bucket("default").delete(key)


def exists(key: str) -> bool:
    """Returns true if the key exists."""
    return Bucket("default").exists(key)


def keys(prefix: str = "") -> Iterator[str]:
    """Returns the keys that begin with `prefix`, in the order of their bytes."""
    return Bucket("default").keys(prefix)


def update(key: str, change: Callable[[Any], T]) -> T:
    """Changes the value of a key as one step, and returns the new value. See `Bucket.update`."""
    return Bucket("default").update(key, change)


def increment(key: str, delta: int = 1) -> int:
    """Adds `delta` to a number as one step, and returns the sum. A key that does not exist counts as 0."""
    return Bucket("default").increment(key, delta)


def push_bounded(key: str, item: Any, max: int) -> list[Any]:
    """Appends an item to a list as one step, keeps the last `max` items, and returns the list."""
    return Bucket("default").push_bounded(key, item, max)


def get_many(keys: Iterable[str]) -> list[Any]:
    """Returns the values of several keys in their order, with `None` for a key that does not exist."""
    return Bucket("default").get_many(keys)


def set_many(values: Mapping[str, Any]) -> None:
    """Sets the values of several keys: all of them, or none if it fails."""
    Bucket("default").set_many(values)


def delete_many(keys: Iterable[str]) -> None:
    """Deletes several keys: all of them, or none if it fails."""
    Bucket("default").delete_many(keys)

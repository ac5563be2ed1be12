"""Reads the values and secrets that the operator gives to the handler."""

from __future__ import annotations

from typing import Any, Callable, TypeVar

from . import host
from .errors import ConfigError

T = TypeVar("T")


def get(key: str, default: Any = None) -> Any:
    """Returns the value of a key as a string, or `default` if it is not set."""
    value = _checked(host.config_store.get, key)
    return default if value is None else value


def require(key: str) -> str:
    """Returns the value of a key that has to be set. Raises a `ConfigError` if it is not."""
    value = get(key)
    if value is None:
        raise ConfigError(f"the value `{key}` is not set; set it in the handler's settings, under config or secrets")
    return value


def get_all() -> dict[str, str]:
    """Returns all values by their keys, those of secrets too."""
    return dict(_checked(host.config_store.get_all))


def _checked(function: Callable[..., T], *arguments: Any) -> T:
    try:
        return function(*arguments)
    except host.Err as error:
        raise ConfigError(f"values cannot be read: {error.value.value}") from None

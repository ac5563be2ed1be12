"""Writes to the server's log, with the name of the handler and the id of the call. `print` writes there too."""

from __future__ import annotations

from typing import Any

from . import host


def trace(*values: Any) -> None:
    """Writes a record of the level `trace`."""
    _write("TRACE", values)


def debug(*values: Any) -> None:
    """Writes a record of the level `debug`."""
    _write("DEBUG", values)


def info(*values: Any) -> None:
    """Writes a record of the level `info`."""
    _write("INFO", values)


def warn(*values: Any) -> None:
    """Writes a record of the level `warn`."""
    _write("WARN", values)


def error(*values: Any) -> None:
    """Writes a record of the level `error`."""
    _write("ERROR", values)


def _write(level: str, values: tuple[Any, ...]) -> None:
    host.log.write(getattr(host.log.Level, level), " ".join(map(str, values)))

"""The errors of a handler: failures, which the client reads, and everything else, which the log gets."""

from __future__ import annotations

import json
from typing import Any


class Failure(Exception):
    """An error for the client: a status from 400 to 599, a sentence, and optional data for programs.

    Raised in a route, it becomes the body `{"error": message, "code": code, "id": …}` with that status. In a listener
    it becomes the ack `{"error": {…}}`, and in `on_connect` the message of `connect_error`. The server raises it too,
    for example when an emit is refused.
    """

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.data = data

    def __str__(self) -> str:
        return f"{self.message} ({self.code})"


class FetchError(Exception):
    """The reason for which another server gave no answer. Not caught, it answers with 502, or 504 after a timeout.

    `kind` is `"refused"` (the operator's setting `outbound` does not allow the server), `"invalid"` (the request
    cannot be sent), `"timeout"`, or `"failed"`.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind, message)
        self.kind = kind
        self.message = message

    def __str__(self) -> str:
        return self.message


class StoreError(Exception):
    """The reason for which an operation on key-value storage failed, as a sentence."""


class ConfigError(Exception):
    """A value of the operator that is missing or cannot be read. Its text never contains the value."""


def as_failure(error: BaseException) -> tuple[Failure, str | None]:
    """Returns what the client reads of an error, and the text for the log, or `None` if the client reads all of it."""
    if isinstance(error, Failure):
        return error, None
    if isinstance(error, FetchError) and error.kind in ("timeout", "failed"):
        code, words = (504, "another server did not answer in time") if error.kind == "timeout" else (
            502, "another server failed")
        return Failure(code, words), str(error)
    return Failure(500, "internal server error"), describe(error)


def describe(error: BaseException) -> str:
    """Returns an error with its causes and the lines of the handler that it passed, the innermost first."""
    lines = []
    known: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in known:
        known.add(id(current))
        text = str(current)
        name = type(current).__name__
        lines.append(("because of " if lines else "") + (f"{name}: {text}" if text else name))
        lines.extend(_places(current))
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\n".join(lines)


def _places(error: BaseException) -> list[str]:
    places = []
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        if not step.tb_frame.f_globals.get("__name__", "").startswith("hitchy."):
            file = code.co_filename.rsplit("/", 1)[-1]
            places.append(f"  at {file}:{step.tb_lineno} in {code.co_name}")
        step = step.tb_next
    places.reverse()
    return places[:20]


def failure_data(data: Any) -> str | None:
    """Returns the data of a failure as JSON text."""
    return None if data is None else json.dumps(data, default=str)

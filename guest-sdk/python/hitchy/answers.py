"""What routes and policies return, as a response."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Iterable, Mapping, Union

from .payload import to_json

TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
JSON = "application/json; charset=utf-8"
BINARY = "application/octet-stream"

Headers = Union[Mapping[str, str], Iterable[tuple[str, str]], None]


def headers_of(headers: Headers) -> list[tuple[str, str]]:
    """Returns headers as a list of pairs."""
    if headers is None:
        return []
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return [(name, str(value)) for name, value in pairs]


class Response:
    """A response: a body, a status and headers.

    `body` is anything that a route may return except a tuple. The type of the content follows from it, unless
    `content_type` or the headers say otherwise.
    """

    __slots__ = ("body", "status", "headers")

    def __init__(
        self, body: Any = None, status: int = 200, headers: Headers = None, content_type: str | None = None
    ) -> None:
        natural, self.body = _encoded(body)
        self.status = status
        self.headers = headers_of(headers)
        kind = content_type or natural
        if kind and not any(name.lower() == "content-type" for name, _ in self.headers):
            self.headers.append(("content-type", kind))

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Returns the body, read as JSON."""
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """Returns the first value of a header. The case of the name does not matter."""
        for found, value in self.headers:
            if found.lower() == name.lower():
                return value
        return None

    def __repr__(self) -> str:
        return f"Response({self.status}, {len(self.body)} bytes)"


def html(text: str, status: int = 200) -> Response:
    """Returns a page."""
    return Response(text, status, content_type=HTML)


def redirect(location: str, status: int = 302) -> Response:
    """Returns a response that sends the client elsewhere: 302, or 301, 303, 307 and 308."""
    return Response(None, status, [("location", location)])


def to_response(returned: Any) -> Response:
    """Returns what a route returned as a response.

    | returned | answered |
    |---|---|
    | `None` | 200 without a body |
    | a string | `text/plain; charset=utf-8` |
    | bytes | `application/octet-stream` |
    | a dictionary, a list, a number, a data class | JSON |
    | `(body, status)`, `(body, status, headers)` | the body with another status, and with headers |
    | a `Response` | itself |
    """
    if isinstance(returned, Response):
        return returned
    if isinstance(returned, tuple):
        return _of_tuple(returned)
    return Response(returned)


def _of_tuple(returned: tuple[Any, ...]) -> Response:
    if not 2 <= len(returned) <= 3 or type(returned[1]) is not int:
        raise TypeError("a route that returns a tuple returns (body, status) or (body, status, headers)")
    headers = headers_of(returned[2]) if len(returned) == 3 else []
    body = returned[0]
    if isinstance(body, Response):
        return Response(body.body, returned[1], body.headers + headers)
    return Response(body, returned[1], headers)


def _encoded(body: Any) -> tuple[str | None, bytes]:
    if body is None:
        return None, b""
    if isinstance(body, str):
        return TEXT, body.encode()
    if isinstance(body, (bytes, bytearray, memoryview)):
        return BINARY, bytes(body)
    if isinstance(body, (dict, list, int, float)) or dataclasses.is_dataclass(body):
        return JSON, to_json(body).encode()
    raise TypeError(f"a route cannot return {type(body).__name__}: return a string, bytes, a dictionary, a list, "
                    "a data class or a Response")

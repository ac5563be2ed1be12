"""Requests, and requests to the server itself."""

from __future__ import annotations

import json
from typing import Any, Mapping
from urllib.parse import parse_qsl

from . import host
from .context import Context
from .answers import Response, headers_of
from .payload import to_json
from .sockets import Socket, joined_headers


class Request:
    """A request, with the same methods for every door through which it can arrive.

    It is valid until the call that got it returns.
    """

    __slots__ = ("_handle",)

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    @property
    def id(self) -> str:
        """The id of the call, which is also in the log."""
        return self._handle.id()

    @property
    def method(self) -> str:
        """The method in upper case."""
        return self._handle.method()

    @property
    def url(self) -> str:
        """The path in normal form, followed by `?` and the query as it was sent, if there is one."""
        return self._handle.url()

    @property
    def path(self) -> str:
        """The path in normal form."""
        return self.url.partition("?")[0]

    @property
    def query_string(self) -> str:
        """The query as it was sent, without `?`."""
        return self.url.partition("?")[2]

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the query. Of several with one name, the last counts: see `query_list`."""
        return dict(self.query_list)

    @property
    def query_list(self) -> list[tuple[str, str]]:
        """The parameters of the query in their order."""
        return parse_qsl(self.query_string, keep_blank_values=True)

    @property
    def headers(self) -> dict[str, str]:
        """The headers, with names in lower case. Values of one name are joined with commas."""
        return joined_headers(self._handle.headers())

    def header(self, name: str) -> str | None:
        """Returns the first value of a header. The case of the name does not matter."""
        values = self._handle.header(name)
        return values[0] if values else None

    def param(self, name: str) -> str | None:
        """Returns a parameter of the route's path, decoded, or `None`."""
        return self._handle.param(name)

    @property
    def body(self) -> bytes:
        """The full body. It is empty when the request has none."""
        return self._handle.body()

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Returns the body, read as JSON. Raises a `ValueError` if it is not."""
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        """Returns the fields of a form, `application/x-www-form-urlencoded`."""
        return dict(parse_qsl(self.text, keep_blank_values=True))

    @property
    def door(self) -> str:
        """The door through which the request arrived: `http`, `socket` or `dispatch`."""
        return self._handle.door()

    @property
    def remote(self) -> str:
        """The address of the peer, as `ip:port`."""
        return self._handle.remote()

    @property
    def socket(self) -> Socket | None:
        """The connection through which a `request` over a socket arrived."""
        handle = self._handle.socket()
        return None if handle is None else Socket(handle)

    @property
    def context(self) -> Context:
        """The values that hooks and policies have set for this request."""
        return Context(self._handle)

    def set_response_header(self, name: str, value: str) -> None:
        """Adds a header to the response, also if the response is an error. It is meant for policies."""
        host.checked(self._handle.set_response_header, name, value)

    @property
    def deadline(self) -> float:
        """The time that is left until the call's deadline, in seconds."""
        return self._handle.deadline_ms() / 1000


def dispatch(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | str = b"",
    json: Any = None,
) -> Response:
    """Sends a request to the server itself, through policies, routes and files, and returns the response.

    `url` is a path with an optional query. Raises a `Failure` when the server does not take the request.
    """
    pairs = headers_of(headers)
    if json is not None:
        body = to_json(json)
        pairs.append(("content-type", "application/json"))
    sent = body.encode() if isinstance(body, str) else body
    answer = host.checked(host.requests.dispatch, method, url, pairs, sent)
    return Response(answer.body, answer.status, answer.headers)

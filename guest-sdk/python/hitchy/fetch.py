"""Requests to other servers, which the operator allows with the setting `outbound` of the handler."""

from __future__ import annotations

import json as json_module
from typing import Any, Mapping
from urllib.parse import quote, urlencode, urlsplit

from . import host
from .answers import headers_of
from .errors import FetchError
from .payload import to_json

_USER_AGENT = "hitchy-guest"


class Parts:
    """A request to another server, in parts."""

    __slots__ = ("method", "is_secure", "authority", "path", "headers", "body", "timeout")

    def __init__(
        self,
        method: str,
        is_secure: bool,
        authority: str,
        path: str,
        headers: list[tuple[str, str]],
        body: bytes,
        timeout: float | None,
    ) -> None:
        self.method = method
        self.is_secure = is_secure
        self.authority = authority
        self.path = path
        self.headers = headers
        self.body = body
        self.timeout = timeout

    @property
    def url(self) -> str:
        """The URL of the request."""
        return f"{'https' if self.is_secure else 'http'}://{self.authority}{self.path}"


class FetchResponse:
    """The response of another server."""

    __slots__ = ("status", "headers", "body")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        # Names are in lower case.
        self.headers = dict(headers)
        self.body = body

    @property
    def ok(self) -> bool:
        """True if the status is one from 200 to 299."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Returns the body, read as JSON. Raises a `FetchError` if it is not."""
        try:
            return json_module.loads(self.body)
        except ValueError as error:
            raise FetchError("failed", f"the answer is not JSON: {error}") from None

    def raise_for_status(self) -> FetchResponse:
        """Returns the response itself. Raises a `FetchError` if the status is 400 or more."""
        if self.status >= 400:
            raise FetchError("failed", f"the server answered with {self.status}")
        return self


def fetch(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, Any] | None = None,
    body: bytes | str = b"",
    json: Any = None,
    timeout: float | None = None,
) -> FetchResponse:
    """Sends a request to another server and waits for the whole response, whatever its status is.

    `params` are added to the query, `json` is sent as the body, and `timeout`, in seconds, can only shorten the times
    that the operator allows. Raises a `FetchError` when the server may not be called, fails or takes too long.
    """
    pairs = headers_of(headers)
    names = {name.lower() for name, _ in pairs}
    if json is not None:
        body = to_json(json)
        if "content-type" not in names:
            pairs.append(("content-type", "application/json"))
    if "user-agent" not in names:
        pairs.append(("user-agent", _USER_AGENT))
    is_secure, authority, path = _split(url, params)
    sent = body.encode() if isinstance(body, str) else bytes(body)
    status, found, content = host.send(Parts(method.upper(), is_secure, authority, path, pairs, sent, timeout))
    joined: dict[str, str] = {}
    for name, value in found:
        joined[name.lower()] = f"{joined[name.lower()]}, {value}" if name.lower() in joined else value
    return FetchResponse(status, joined, content)


def _split(url: str, params: Mapping[str, Any] | None) -> tuple[bool, str, str]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc:
        raise FetchError("invalid", "a URL begins with https:// or http:// and the name of a server, without a user")
    query = "&".join(filter(None, (parts.query, urlencode(params or {}))))
    safe = "/%:@!$&'()*+,;=~-._?[]"
    path = quote(parts.path or "/", safe=safe) + (f"?{quote(query, safe=safe)}" if query else "")
    return parts.scheme == "https", parts.netloc, path

"""Tests of a handler without a server: `python -m unittest`.

    import unittest
    from hitchy.testing import TestClient
    from app import app

    class Hello(unittest.TestCase):
        def test_says_hello(self):
            client = TestClient(app)
            self.assertEqual(client.get("/api/hello/Ada").json(), {"hello": "Ada"})

        def test_tells_everyone(self):
            client = TestClient(app)
            ada, bob = client.connect(), client.connect()
            self.assertEqual(ada.emit("chat:say", "hi"), "told everyone")
            self.assertEqual(bob.received, [("chat:said", "hi")])
"""

from __future__ import annotations

import json as json_module
import time
from typing import Any, Callable, Mapping
from urllib.parse import unquote, urlencode

from . import double, exports, host
from .answers import headers_of
from .app import App
from .errors import Failure
from .fetch import FetchResponse, Parts
from .payload import decode, encode, to_json, unpacked

__all__ = ["TestClient", "TestSocket", "Answer"]


class Answer:
    """The response to a request, or the failure that answered it."""

    def __init__(self, response: double.WireResponse) -> None:
        self.status = response.status
        self.body = response.body
        self.headers = {name.lower(): value for name, value in response.headers}

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    def json(self) -> Any:
        """Returns the body, read as JSON."""
        return json_module.loads(self.body)


class TestSocket:
    """A client that is connected to a namespace."""

    __test__ = False

    def __init__(self, client: TestClient, connection: double.Connection) -> None:
        self._client = client
        self._connection = connection

    @property
    def id(self) -> str:
        """The id of the connection."""
        return self._connection.id()

    @property
    def rooms(self) -> set[str]:
        """The rooms of the connection, without its own id."""
        return self._connection.in_rooms - {self.id}

    @property
    def is_connected(self) -> bool:
        """True until the client or the handler has disconnected."""
        return self._connection.is_open

    @property
    def data(self) -> dict[str, Any]:
        """The context of the connection."""
        return {key: json_module.loads(value) for key, value in self._connection.values.items()}

    @property
    def received(self) -> list[tuple[Any, ...]]:
        """The events that the client got, each with its arguments: `[("said", "hi")]`."""
        return [(event, *decode(args)) for event, args in self._connection.received]

    def emit(self, event: str, *arguments: Any) -> Any:
        """Sends an event to the handler. Returns the ack: its argument, a tuple of several, or `None`. Raises the
        `Failure` with which the handler answers."""
        return self._client._event(self._connection, event, arguments)

    def answer(self, event: str, answer: Any) -> None:
        """Answers an event that the handler emits with an ack: with a value, or with a function of its arguments."""

        def reply(args: double.Payload) -> double.Payload:
            value = answer(*decode(args)) if callable(answer) else answer
            return encode(value if isinstance(value, tuple) else (value,))

        self._connection.answers[event] = reply

    def disconnect(self, reason: str = "client namespace disconnect") -> None:
        """Disconnects the client."""
        self._client._disconnect(self._connection, reason)


class _Request:
    """A request with the methods that the bindings have."""

    def __init__(
        self, method: str, url: str, headers: list[tuple[str, str]], body: bytes, door: str, socket: Any
    ) -> None:
        self._method, self._url, self._headers, self._body = method, url, headers, body
        self._door, self._socket = door, socket
        self.params: dict[str, str] = {}
        self.values: dict[str, str] = dict(socket.values) if socket else {}
        self.response_headers: list[tuple[str, str]] = []

    def id(self) -> str:
        return "test"

    def method(self) -> str:
        return self._method

    def url(self) -> str:
        return self._url

    def header(self, name: str) -> list[str]:
        return [value for found, value in self._headers if found.lower() == name.lower()]

    def headers(self) -> list[tuple[str, str]]:
        return [(name.lower(), value) for name, value in self._headers]

    def body(self) -> bytes:
        return self._body

    def param(self, name: str) -> str | None:
        return self.params.get(name)

    def door(self) -> str:
        return self._door

    def remote(self) -> str:
        return "127.0.0.1:50000"

    def socket(self) -> Any:
        return self._socket

    def get(self, key: str) -> str | None:
        return self.values.get(key)

    def set(self, key: str, value: str) -> None:
        double.set_value(self.values, key, value)

    def set_response_header(self, name: str, value: str) -> None:
        self.response_headers.append((name, value))

    def deadline_ms(self) -> int:
        return 10_000


class TestClient:
    """A server in memory with one handler. Each begins with no clients, no stored keys and no values.

    `fetch` answers the requests to other servers: a function of one `hitchy.fetch.Parts` that returns a
    `hitchy.FetchResponse` or raises a `hitchy.FetchError`.
    """

    __test__ = False

    def __init__(
        self,
        app: App,
        *,
        config: Mapping[str, str] | None = None,
        buckets: tuple[str, ...] = (),
        fetch: Callable[[Parts], FetchResponse] | None = None,
    ) -> None:
        self._app = app
        self._exports = {name: each() for name, each in exports.classes(app).items()}
        self._state = double.reset()
        self._state.config.update(config or {})
        self._state.buckets.update({name: {} for name in buckets})
        self._state.dispatch = lambda method, url, headers, body: self._request(
            _Request(method, url, headers, body, "dispatch", None)
        )
        self.fetch = fetch
        self._state.fetch = self._fetched

    @property
    def logged(self) -> list[tuple[str, str]]:
        """The records that were written with `hitchy.log`, and the errors of the handler: level and text."""
        return self._state.logged

    # Requests

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        body: bytes | str = b"",
        json: Any = None,
        socket: TestSocket | None = None,
    ) -> Answer:
        """Sends a request: over HTTP, or as a `request` over `socket`."""
        pairs = headers_of(headers)
        if json is not None:
            body = to_json(json)
            pairs.append(("content-type", "application/json"))
        if params:
            url += ("&" if "?" in url else "?") + urlencode(params)
        sent = body.encode() if isinstance(body, str) else body
        connection = socket._connection if socket else None
        return Answer(self._request(_Request(method, url, pairs, sent, "socket" if socket else "http", connection)))

    def get(self, url: str, **options: Any) -> Answer:
        """Sends a GET request. See `request`."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> Answer:
        """Sends a POST request. See `request`."""
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Any) -> Answer:
        """Sends a PUT request. See `request`."""
        return self.request("PUT", url, **options)

    def patch(self, url: str, **options: Any) -> Answer:
        """Sends a PATCH request. See `request`."""
        return self.request("PATCH", url, **options)

    def delete(self, url: str, **options: Any) -> Answer:
        """Sends a DELETE request. See `request`."""
        return self.request("DELETE", url, **options)

    def _request(self, request: _Request) -> double.WireResponse:
        try:
            answer = self._answered(request)
        except double.Err as error:
            answer = _failed(error.value)
        answer.headers = answer.headers + request.response_headers
        for index, policy in enumerate(self._app.policies):
            if not policy.is_before and _applies(policy, request):
                self._run(lambda index=index: self._call("Policies").on_after(index, request, answer.status))
        return answer

    def _answered(self, request: _Request) -> double.WireResponse:
        for index, policy in enumerate(self._app.policies):
            if policy.is_before and _applies(policy, request):
                answer = self._call("Policies").on_before(index, request)
                if answer is not None:
                    return answer
        found = _route(self._app, request)
        if found is None:
            raise double.refused(404, f"nothing answers {request.method()} {request.url()}")
        index, request.params = found
        return self._call("Http").on_request(index, request)

    # Events

    def connect(
        self,
        namespace: str = "/",
        *,
        auth: Any = None,
        headers: Mapping[str, str] | None = None,
        query: str = "",
    ) -> TestSocket:
        """Connects a client. Raises the `Failure` with which a hook refuses it."""
        id = f"socket-{next(self._state.ids)}"
        connection = double.Connection(id, namespace, auth, dict(headers or {}), query)
        hooks = [index for index, hook in enumerate(self._app.hooks) if hook.namespace == namespace]
        for index in hooks:
            _raising(lambda index=index: self._call("Connections").on_connect(index, connection))
        self._state.sockets[(namespace, id)] = connection
        connection.is_connected = True
        for index in hooks:
            self._run(lambda index=index: self._call("Connections").on_connected(index, connection))
        return TestSocket(self, connection)

    def _event(self, connection: double.Connection, event: str, arguments: tuple[Any, ...]) -> Any:
        namespace = connection.namespace()
        declared = [(index, name) for index, (where, name, _) in enumerate(self._app.listeners) if where == namespace]
        named = [index for index, name in declared if name == event]
        listeners = named or [index for index, name in declared if name == "*"]
        ack: Any = None
        for index in listeners:
            given = _raising(
                lambda index=index: self._call("Events").on_event(index, connection, event, encode(arguments), True)
            )
            ack = ack or given
        return None if ack is None else unpacked(decode(ack))

    def _disconnect(self, connection: double.Connection, reason: str) -> None:
        connection.disconnect(False)
        for index, hook in enumerate(self._app.hooks):
            if hook.namespace == connection.namespace():
                self._run(lambda index=index: self._call("Connections").on_disconnect(index, connection, reason))

    # Schedules

    def run_schedule(self, name: str, due: float | None = None) -> None:
        """Runs a schedule by its name. `due` is the time at which it is due, in seconds since 1970."""
        for index, (found, _, _) in enumerate(self._app.schedules):
            if found == name:
                moment = int((time.time() if due is None else due) * 1000)
                _raising(lambda index=index: self._call("Schedules").on_schedule(index, moment))
                return
        raise KeyError(name)

    def _call(self, name: str) -> Any:
        self._state.calls += 1
        return self._exports[name]

    def _run(self, call: Callable[[], Any]) -> None:
        """Runs a call of which no client sees the failure."""
        try:
            call()
        except double.Err as error:
            self._state.logged.append(("warn", error.value.message))

    def _fetched(self, parts: Parts) -> tuple[int, list[tuple[str, str]], bytes]:
        if self.fetch is None:
            self._state.fetch = None
            return double.send(parts)
        response = self.fetch(parts)
        return response.status, list(response.headers.items()), response.body


def _raising(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except double.Err as error:
        failure = host.failure_of(error.value)
    raise Failure(failure.code, failure.message, failure.data)


def _failed(failure: double.WireFailure) -> double.WireResponse:
    body: dict[str, Any] = {"error": failure.message, "code": failure.code, "id": "test"}
    if failure.data is not None:
        body["data"] = json_module.loads(failure.data)
    return double.WireResponse(failure.code, [("content-type", "application/json")], to_json(body).encode())


def _applies(policy: Any, request: _Request) -> bool:
    path, prefix = request.url().partition("?")[0], policy.prefix.rstrip("/")
    is_below = path == prefix or path.startswith(prefix + "/")
    method = "GET" if request.method() == "HEAD" else request.method()
    return is_below and policy.method in ("", method, request.method())


def _route(app: App, request: _Request) -> tuple[int, dict[str, str]] | None:
    """Returns the index of the route that answers, with the parameters of its path."""
    segments = request.url().partition("?")[0].split("/")[1:]
    best: tuple[list[int], int, dict[str, str]] | None = None
    for index, (method, path, _) in enumerate(app.routes):
        is_head = request.method() == "HEAD" and method == "GET"
        matched = _match(path.split("/")[1:], segments)
        if matched is None or not (method in ("", request.method()) or is_head):
            continue
        rank, params = matched
        # A method that is named goes before all methods.
        candidate = ([*rank, 0 if method else 1], index, params)
        if best is None or candidate[0] < best[0]:
            best = candidate
    return None if best is None else (best[1], best[2])


def _match(pattern: list[str], segments: list[str]) -> tuple[list[int], dict[str, str]] | None:
    rank: list[int] = []
    params: dict[str, str] = {}
    for at, part in enumerate(pattern):
        if part.startswith("{*"):
            if at >= len(segments):
                return None
            params[part[2:-1]] = unquote("/".join(segments[at:]))
            return [*rank, 2], params
        if at >= len(segments):
            return None
        if part.startswith("{"):
            if not segments[at]:
                return None
            params[part[1:-1]] = unquote(segments[at])
            rank.append(1)
        elif part == segments[at]:
            rank.append(0)
        else:
            return None
    return (rank, params) if len(pattern) == len(segments) else None

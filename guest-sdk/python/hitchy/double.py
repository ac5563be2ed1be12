"""A double of the server for tests: the same functions as the bindings, over a state in memory. See `testing`."""

from __future__ import annotations

import dataclasses
import itertools
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Callable, Generic, TypeVar

from .errors import FetchError

if TYPE_CHECKING:
    from .fetch import Parts

S = TypeVar("S")
_PAGE = 100
_RESERVED = {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}


@dataclasses.dataclass
class Ok(Generic[S]):
    """A result that is a value."""

    value: S


class Err(Exception):
    """A result that is an error."""

    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self.value = value


@dataclasses.dataclass
class Payload:
    """Arguments as JSON, with their bytes."""

    json: str
    attachments: list[bytes]


@dataclasses.dataclass
class WireFailure:
    """A failure as the contract has it."""

    code: int
    message: str
    data: str | None


@dataclasses.dataclass
class WireResponse:
    """A response as the contract has it."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


types = SimpleNamespace(Payload=Payload, Failure=WireFailure, Response=WireResponse)


def refused(code: int, message: str) -> Err:
    """Returns the failure of the server as an error to raise."""
    return Err(WireFailure(code, message, None))


class State:
    """Everything that the double knows. Each `testing.TestClient` begins with a new one."""

    def __init__(self) -> None:
        self.sockets: dict[tuple[str, str], Connection] = {}
        self.ids = itertools.count(1)
        self.buckets: dict[str, dict[str, bytes]] = {"default": {}}
        self.config: dict[str, str] = {}
        self.logged: list[tuple[str, str]] = []
        self.calls = 0
        self.fetch: Callable[[Parts], tuple[int, list[tuple[str, str]], bytes]] | None = None
        self.dispatch: Callable[..., WireResponse] | None = None

    def audience(self, audience: Audience) -> list[Connection]:
        """Returns the connections of an audience."""
        rooms, excluding = set(audience.rooms), set(audience.excluding)
        return [
            each
            for (namespace, _), each in list(self.sockets.items())
            if namespace == audience.namespace
            and (not rooms or rooms & each.in_rooms)
            and not excluding & each.in_rooms
        ]


state = State()


def reset() -> State:
    """Replaces the state by an empty one."""
    global state
    state = State()
    return state


# Sockets


class Connection:
    """A connection of a client, with the methods that the bindings have and what tests ask."""

    def __init__(self, id: str, namespace: str, auth: Any, headers: dict[str, str], query: str) -> None:
        self._id = id
        self._namespace = namespace
        self._auth = None if auth is None else json.dumps(auth)
        self._headers = {name.lower(): value for name, value in headers.items()}
        self._query = query
        self.values: dict[str, str] = {}
        self.in_rooms = {id}
        self.received: list[tuple[str, Payload]] = []
        self.answers: dict[str, Callable[[Payload], Payload]] = {}
        self.is_open = True
        self.is_connected = False

    def id(self) -> str:
        return self._id

    def namespace(self) -> str:
        return self._namespace

    def remote(self) -> str:
        return "127.0.0.1:50000"

    def query(self) -> str:
        return self._query

    def header(self, name: str) -> list[str]:
        value = self._headers.get(name.lower())
        return [] if value is None else [value]

    def headers(self) -> list[tuple[str, str]]:
        return list(self._headers.items())

    def auth(self) -> str | None:
        return self._auth

    def get(self, key: str) -> str | None:
        return self.values.get(key)

    def set(self, key: str, value: str) -> None:
        set_value(self.values, key, value)

    def rooms(self) -> list[str]:
        return sorted(self.in_rooms)

    def join(self, rooms: list[str]) -> None:
        self._check_open()
        if len(self.in_rooms | set(rooms)) > 1000:
            raise refused(413, "a connection can be in at most 1000 rooms")
        self.in_rooms |= set(rooms)

    def leave(self, rooms: list[str]) -> None:
        self._check_open()
        self.in_rooms -= set(rooms)

    def emit(self, event: str, args: Payload) -> None:
        check_event(self._namespace, event)
        self._check_open()
        if not self.is_connected:
            raise refused(409, "the client is not connected yet; emit in on_connected")
        self.received.append((event, args))

    def emit_with_ack(self, event: str, args: Payload, timeout_ms: int) -> Payload:
        self.emit(event, args)
        if event not in self.answers:
            raise refused(504, "the client did not answer in time")
        return self.answers[event](args)

    def disconnect(self, close: bool) -> None:
        self.is_open = False
        gone = [key for key in state.sockets if key[1] == self._id and (close or key[0] == self._namespace)]
        for key in gone:
            state.sockets.pop(key).is_open = False

    def _check_open(self) -> None:
        if not self.is_open:
            raise refused(410, "the client has disconnected")


@dataclasses.dataclass
class Audience:
    """A set of sockets as the contract has it."""

    namespace: str
    rooms: list[str]
    excluding: list[str]
    this_node_only: bool
    droppable: bool


def check_event(namespace: str, event: str) -> None:
    """Refuses emits as the server does."""
    if event in _RESERVED:
        raise refused(400, f"the event name {event} is reserved")
    if namespace == "/hitchy":
        raise refused(403, "nothing is emitted in /hitchy")


def set_value(values: dict[str, str], key: str, value: str) -> None:
    """Sets a value of a context, unless it would be too large."""
    size = sum(len(k) + len(v) for k, v in {**values, key: value}.items())
    if size > 16 << 10 or len(values.keys() | {key}) > 32:
        raise refused(413, "the context has at most 32 keys and 16 KiB")
    values[key] = value


class Sockets:
    """The interface `sockets`."""

    Audience = Audience

    def emit(self, event: str, args: Payload) -> None:
        self.emit_to(Audience("/", [], [], False, False), event, args)

    def emit_to(self, audience: Audience, event: str, args: Payload) -> None:
        check_event(audience.namespace, event)
        for each in state.audience(audience):
            if each.is_connected:
                each.received.append((event, args))

    def emit_to_with_ack(self, audience: Audience, event: str, args: Payload, timeout_ms: int) -> list[Any]:
        check_event(audience.namespace, event)
        answers: list[Any] = []
        for each in state.audience(audience):
            try:
                answers.append((each.id(), Ok(each.emit_with_ack(event, args, timeout_ms))))
            except Err as error:
                answers.append((each.id(), error))
        return answers

    def join(self, audience: Audience, rooms: list[str]) -> None:
        for each in state.audience(audience):
            each.join(rooms)

    def leave(self, audience: Audience, rooms: list[str]) -> None:
        for each in state.audience(audience):
            each.leave(rooms)

    def disconnect(self, audience: Audience, close: bool) -> None:
        for each in state.audience(audience):
            each.disconnect(close)

    def find(self, namespace: str, id: str) -> Connection | None:
        return state.sockets.get((namespace, id))

    def list_ids(self, audience: Audience) -> list[str]:
        return [each.id() for each in state.audience(audience)]


# The other interfaces


class Requests:
    """The interface `requests`."""

    def dispatch(self, method: str, url: str, headers: list[tuple[str, str]], body: bytes) -> WireResponse:
        if state.dispatch is None:
            raise refused(404, "there is no handler; make a testing.TestClient first")
        return state.dispatch(method, url, headers, body)


class Log:
    """The interface `log`."""

    Level = SimpleNamespace(TRACE="trace", DEBUG="debug", INFO="info", WARN="warn", ERROR="error")

    def write(self, level: str, message: str) -> None:
        state.logged.append((level, message))


class Instances:
    """The interface `instances`."""

    def life(self) -> str:
        return "call"

    def calls(self) -> int:
        return state.calls


class ConfigStore:
    """The interface `wasi:config/store`."""

    def get(self, key: str) -> str | None:
        return state.config.get(key)

    def get_all(self) -> list[tuple[str, str]]:
        return list(state.config.items())


@dataclasses.dataclass
class Error_NoSuchStore:
    """The error about a bucket that was not granted."""


@dataclasses.dataclass
class Error_Other:
    """An error of the store as a sentence."""

    value: str


@dataclasses.dataclass
class KeyResponse:
    """A page of keys."""

    keys: list[str]
    cursor: str | None


class Bucket:
    """A bucket of keys and values."""

    def __init__(self, values: dict[str, bytes]) -> None:
        self.values = values

    def get(self, key: str) -> bytes | None:
        return self.values.get(key)

    def set(self, key: str, value: bytes) -> None:
        if len(key.encode()) > 1024 or len(value) > 1 << 20:
            raise Err(Error_Other("a key has at most 1 KiB, and a value 1 MiB"))
        self.values[key] = value

    def delete(self, key: str) -> None:
        self.values.pop(key, None)

    def exists(self, key: str) -> bool:
        return key in self.values

    def list_keys(self, cursor: str | None) -> KeyResponse:
        keys = sorted(key for key in self.values if cursor is None or key.encode() > cursor.encode())
        page = keys[:_PAGE]
        return KeyResponse(page, page[-1] if len(keys) > _PAGE else None)


class Cas:
    """A comparison of a value now with the value later."""

    def __init__(self, bucket: Bucket, key: str) -> None:
        self.bucket, self.key, self.value = bucket, key, bucket.get(key)

    @classmethod
    def new(cls, bucket: Bucket, key: str) -> Cas:
        return cls(bucket, key)

    def current(self) -> bytes | None:
        return self.value


@dataclasses.dataclass
class CasError_CasFailed:
    """The error of a swap that came too late."""

    value: Cas


class KeyValue:
    """The interfaces of `wasi:keyvalue`."""

    Cas = Cas

    def open(self, identifier: str) -> Bucket:
        if identifier not in state.buckets:
            raise Err(Error_NoSuchStore())
        return Bucket(state.buckets[identifier])

    def increment(self, bucket: Bucket, key: str, delta: int) -> int:
        try:
            total = int(bucket.get(key) or b"0") + delta
        except ValueError:
            raise Err(Error_Other(f"the value of {key} is not a number")) from None
        bucket.set(key, str(total).encode())
        return total

    def swap(self, cas: Cas, value: bytes) -> None:
        if cas.bucket.get(cas.key) != cas.value:
            raise Err(CasError_CasFailed(Cas(cas.bucket, cas.key)))
        cas.bucket.set(cas.key, value)

    def get_many(self, bucket: Bucket, keys: list[str]) -> list[tuple[str, bytes] | None]:
        found = ((key, bucket.get(key)) for key in keys)
        return [None if value is None else (key, value) for key, value in found]

    def set_many(self, bucket: Bucket, pairs: list[tuple[str, bytes]]) -> None:
        for key, value in pairs:
            bucket.set(key, value)

    def delete_many(self, bucket: Bucket, keys: list[str]) -> None:
        for key in keys:
            bucket.delete(key)


def send(parts: Parts) -> tuple[int, list[tuple[str, str]], bytes]:
    """Answers a request to another server as the test has said."""
    if state.fetch is None:
        raise FetchError("refused", f"the test allows no server; set `fetch` of the TestClient to answer {parts.url}")
    return state.fetch(parts)


sockets = Sockets()
requests = Requests()
log = Log()
instances = Instances()
config_store = ConfigStore()
keyvalue = KeyValue()

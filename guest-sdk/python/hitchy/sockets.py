"""Connections of clients, and broadcasts to them."""

from __future__ import annotations

import json
from typing import Any, Iterable, Union

from . import host
from .context import Context
from .errors import Failure
from .payload import decode, encode, unpacked

Rooms = Union[str, Iterable[str]]

_DEFAULT_TIMEOUT = 5.0


def _names(rooms: Rooms) -> list[str]:
    return [rooms] if isinstance(rooms, str) else list(rooms)


def _joined(many: tuple[Rooms, ...]) -> list[str]:
    return [name for rooms in many for name in _names(rooms)]


def _milliseconds(seconds: float) -> int:
    return max(0, min(int(seconds * 1000), 2**32 - 1))


class Audience:
    """The sockets that an emit reaches: a namespace, narrowed by rooms to include and rooms to leave out.

    The methods that narrow return a new audience: `to("general").except_(socket.id).emit("said", text)`.
    """

    __slots__ = ("_namespace", "_rooms", "_excluding", "_local", "_volatile")

    def __init__(self, namespace: str = "/") -> None:
        self._namespace = namespace
        self._rooms: list[str] = []
        self._excluding: list[str] = []
        self._local = False
        self._volatile = False

    def _copy(self) -> Audience:
        copy = Audience(self._namespace)
        copy._rooms = list(self._rooms)
        copy._excluding = list(self._excluding)
        copy._local, copy._volatile = self._local, self._volatile
        return copy

    def to(self, *rooms: Rooms) -> Audience:
        """Adds rooms: a socket in at least one of them is reached."""
        copy = self._copy()
        copy._rooms += _joined(rooms)
        return copy

    within = to

    def except_(self, *rooms: Rooms) -> Audience:
        """Leaves out the sockets in at least one of these rooms. The id of a socket is the name of its own room."""
        copy = self._copy()
        copy._excluding += _joined(rooms)
        return copy

    def local(self) -> Audience:
        """Limits the audience to the sockets of this server, when there are several."""
        copy = self._copy()
        copy._local = True
        return copy

    def volatile(self) -> Audience:
        """Allows the server to leave out clients that do not keep up."""
        copy = self._copy()
        copy._volatile = True
        return copy

    def emit(self, event: str, *arguments: Any) -> None:
        """Emits an event to every socket of the audience."""
        host.checked(host.sockets.emit_to, self._record(), event, encode(arguments))

    def emit_with_ack(self, event: str, *arguments: Any, timeout: float = _DEFAULT_TIMEOUT) -> dict[str, Any]:
        """Emits an event and waits for the acks, at most `timeout` seconds. Returns what each socket answered, by id:
        a value as `Socket.emit_with_ack` returns it, or a `Failure`."""
        answers = host.checked(
            host.sockets.emit_to_with_ack, self._record(), event, encode(arguments), _milliseconds(timeout)
        )
        return {id: _acknowledged(answer) for id, answer in answers}

    def join(self, *rooms: Rooms) -> None:
        """Makes every socket of the audience join rooms."""
        host.checked(host.sockets.join, self._record(), _joined(rooms))

    def leave(self, *rooms: Rooms) -> None:
        """Makes every socket of the audience leave rooms."""
        host.checked(host.sockets.leave, self._record(), _joined(rooms))

    def disconnect(self) -> None:
        """Disconnects every socket of the audience from the namespace."""
        host.checked(host.sockets.disconnect, self._record(), False)

    def close(self) -> None:
        """Disconnects every socket of the audience from all namespaces and closes its connection."""
        host.checked(host.sockets.disconnect, self._record(), True)

    def ids(self) -> list[str]:
        """Returns the ids of the sockets in the audience."""
        return host.checked(host.sockets.list_ids, self._record())

    def sockets(self) -> list[Socket]:
        """Returns the sockets in the audience that are connected to this server."""
        found = (find(id, self._namespace) for id in self.ids())
        return [socket for socket in found if socket is not None]

    def values(self, key: str) -> list[Any]:
        """Returns a value of the context of each socket that has it, for example the names in a room."""
        return [socket.data[key] for socket in self.sockets() if key in socket.data]

    def _record(self) -> Any:
        return host.sockets.Audience(
            self._namespace, self._rooms, self._excluding, self._local, self._volatile
        )


def _acknowledged(answer: Any) -> Any:
    if isinstance(answer, host.Err):
        return host.failure_of(answer.value)
    return unpacked(decode(answer.value))


class Socket:
    """The connection of one client to one namespace.

    It is valid until the call that got it returns: keep its id, and `find` it in a later call. After the client has
    disconnected, methods have no effect or raise a `Failure` with 410.
    """

    __slots__ = ("_handle",)

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    @property
    def id(self) -> str:
        """The id of the connection, the same in every namespace of one client. Treat it as a secret of that client."""
        return self._handle.id()

    @property
    def namespace(self) -> str:
        """The namespace: `/`, or `/` and a name."""
        return self._handle.namespace()

    @property
    def remote(self) -> str:
        """The address of the peer, as `ip:port`."""
        return self._handle.remote()

    @property
    def query(self) -> str:
        """The raw query of the handshake, without `?`."""
        return self._handle.query()

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the handshake, with names in lower case. Values of one name are joined with commas."""
        return joined_headers(self._handle.headers())

    def header(self, name: str) -> str | None:
        """Returns the first value of a header of the handshake. The case of the name does not matter."""
        values = self._handle.header(name)
        return values[0] if values else None

    @property
    def auth(self) -> Any:
        """The data that the client sent with CONNECT, `io(url, { auth })`, or `None`."""
        text = self._handle.auth()
        return None if text is None else json.loads(text)

    @property
    def data(self) -> Context:
        """The context of the connection, which lasts as long as it: `socket.data["user"] = "ada"`."""
        return Context(self._handle)

    @property
    def rooms(self) -> list[str]:
        """The rooms of the connection, which include its own id."""
        return self._handle.rooms()

    def require(self, room: str) -> None:
        """Raises a `Failure` with 403 unless the connection is in the room."""
        if room not in self.rooms:
            raise Failure(403, f"not in the room {room}")

    def join(self, *rooms: Rooms) -> None:
        """Joins rooms."""
        host.checked(self._handle.join, _joined(rooms))

    def leave(self, *rooms: Rooms) -> None:
        """Leaves rooms."""
        host.checked(self._handle.leave, _joined(rooms))

    def emit(self, event: str, *arguments: Any) -> None:
        """Emits an event to this client only. It is refused with 409 in `on_connect`: use `on_connected`."""
        host.checked(self._handle.emit, event, encode(arguments))

    def emit_with_ack(self, event: str, *arguments: Any, timeout: float = _DEFAULT_TIMEOUT) -> Any:
        """Emits an event and waits for the client's ack, at most `timeout` seconds. Returns its argument, or a tuple
        of several, or `None`. The wait is part of the call. Raises a `Failure` with 504 when no ack came in time."""
        answer = host.checked(self._handle.emit_with_ack, event, encode(arguments), _milliseconds(timeout))
        return unpacked(decode(answer))

    def disconnect(self) -> None:
        """Disconnects the client from this namespace."""
        self._handle.disconnect(False)

    def close(self) -> None:
        """Disconnects the client from all namespaces and closes its connection."""
        self._handle.disconnect(True)

    @property
    def broadcast(self) -> Audience:
        """The sockets of this namespace without this one."""
        return Audience(self.namespace).except_(self.id)

    def to(self, *rooms: Rooms) -> Audience:
        """Returns the sockets in rooms of this namespace, without this one."""
        return self.broadcast.to(*rooms)

    def within(self, *rooms: Rooms) -> Audience:
        """Returns the sockets in rooms of this namespace, this one included."""
        return Audience(self.namespace).to(*rooms)

    def except_(self, *rooms: Rooms) -> Audience:
        """Returns the sockets of this namespace without this one and without those in the rooms."""
        return self.broadcast.except_(*rooms)


def emit(event: str, *arguments: Any) -> None:
    """Emits an event to every socket of namespace `/`."""
    host.checked(host.sockets.emit, event, encode(arguments))


def of(namespace: str) -> Audience:
    """Returns the sockets of a namespace."""
    return Audience(namespace)


def to(*rooms: Rooms) -> Audience:
    """Returns the sockets in rooms of namespace `/`."""
    return Audience().to(*rooms)


within = to


def except_(*rooms: Rooms) -> Audience:
    """Returns the sockets of namespace `/` without those in the rooms."""
    return Audience().except_(*rooms)


def find(id: str, namespace: str = "/") -> Socket | None:
    """Returns the connection with this id, or `None` if it is not connected to this namespace."""
    handle = host.sockets.find(namespace, id)
    return None if handle is None else Socket(handle)


def joined_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Returns headers by name. Values of one name are joined with commas."""
    found: dict[str, str] = {}
    for name, value in headers:
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found

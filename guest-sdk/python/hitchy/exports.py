"""The classes that a component exports, made for one app. The server calls them with the index of a declaration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, TypeVar

from . import host
from .answers import to_response
from .arguments import Connection, Event, Received
from .errors import as_failure, failure_data
from .payload import decode, encode
from .requests import Request
from .sockets import Socket

if TYPE_CHECKING:
    from .app import App

T = TypeVar("T")


def classes(app: App) -> dict[str, type]:
    """Returns the classes of the contract by their names."""

    class Setup:
        def describe(self, to: Any) -> None:
            describe(app, to)

    class Http:
        def on_request(self, route: int, request: Any) -> Any:
            return _guarded(lambda: on_request(app, route, request))

    class Policies:
        def on_before(self, policy: int, request: Any) -> Any:
            return _guarded(lambda: on_before(app, policy, request))

        def on_after(self, policy: int, request: Any, status: int) -> None:
            _guarded(lambda: on_after(app, policy, request, status))

    class Events:
        def on_event(self, listener: int, socket: Any, event: str, args: Any, ack_wanted: bool) -> Any:
            return _guarded(lambda: on_event(app, listener, socket, event, args, ack_wanted))

    class Connections:
        def on_connect(self, hook: int, socket: Any) -> None:
            _guarded(lambda: _hook(app.hooks[hook].connect, socket))

        def on_connected(self, hook: int, socket: Any) -> None:
            _guarded(lambda: _hook(app.hooks[hook].connected, socket))

        def on_disconnect(self, hook: int, socket: Any, reason: str) -> None:
            _guarded(lambda: _hook(app.hooks[hook].disconnect, socket, reason))

    class Schedules:
        def on_schedule(self, schedule: int, due_ms: int) -> None:
            _guarded(lambda: app.schedules[schedule][2].call(due_ms))

    found = (Setup, Http, Policies, Events, Connections, Schedules)
    return {each.__name__: each for each in found}


def _guarded(run: Callable[[], T]) -> T:
    """Runs a function of the handler. An error is returned to the server, or written to the log."""
    try:
        return run()
    except MemoryError:
        # The memory stays full, so the instance has to end with this call.
        raise
    except Exception as error:
        failure, for_log = as_failure(error)
    # The error and its frames are gone here, and with them the handles that they held.
    if for_log is not None:
        host.log.write(host.log.Level.ERROR, for_log)
    raise host.Err(host.types.Failure(failure.code, failure.message, failure_data(failure.data)))


def describe(app: App, to: Any) -> None:
    """Declares everything that an app has, in the order in which the indexes count."""
    for method, path, _ in app.routes:
        to.route(method, path)
    for policy in app.policies:
        declare = to.before if policy.is_before else to.after
        declare(policy.method, policy.prefix)
    for namespace, event, _ in app.listeners:
        to.listener(namespace, event)
    for hook in app.hooks:
        to.connection(hook.namespace)
    for name, spec, _ in app.schedules:
        to.schedule(name, spec)


def on_request(app: App, route: int, request: Any) -> Any:
    """Answers a request."""
    returned = app.routes[route][2].call(Received(Request(request)))
    return _response(returned)


def on_before(app: App, policy: int, request: Any) -> Any:
    """Returns the answer of a policy, or `None` if the request may pass."""
    returned = app.policies[policy].signature.call(Received(Request(request)))
    return None if returned is None else _response(returned)


def on_after(app: App, policy: int, request: Any, status: int) -> None:
    """Runs a policy after a request."""
    app.policies[policy].signature.call(Received(Request(request), status))


def on_event(app: App, listener: int, socket: Any, event: str, args: Any, ack_wanted: bool) -> Any:
    """Handles an event, and returns the arguments of its ack, or `None`."""
    got = Event(Socket(socket), event, decode(args), ack_wanted)
    returned = app.listeners[listener][2].call(got)
    if returned is None:
        return None
    return encode(returned if isinstance(returned, tuple) else (returned,))


def _hook(signature: Any, socket: Any, reason: str | None = None) -> None:
    if signature is not None:
        signature.call(Connection(Socket(socket), reason))


def _response(returned: Any) -> Any:
    response = to_response(returned)
    return host.types.Response(response.status, response.headers, response.body)

"""The declarations of a handler."""

from __future__ import annotations

import sys
from typing import Any, Callable, TypeVar

from . import arguments, host
from .arguments import Signature

F = TypeVar("F", bound=Callable[..., Any])


class Hook:
    """The functions of one namespace's connections."""

    __slots__ = ("namespace", "connect", "connected", "disconnect")

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.connect: Signature | None = None
        self.connected: Signature | None = None
        self.disconnect: Signature | None = None


class Policy:
    """A policy, which runs before or after requests."""

    __slots__ = ("is_before", "method", "prefix", "signature")

    def __init__(self, is_before: bool, method: str, prefix: str, signature: Signature) -> None:
        self.is_before = is_before
        self.method = method
        self.prefix = prefix
        self.signature = signature


class App:
    """A handler: paths, events, hooks and schedules, each with the function that answers.

    It is made once, at the top of the module that is built: `app = App()`. Its decorators return the function
    unchanged, so that a function may have several.
    """

    def __init__(self) -> None:
        self.routes: list[tuple[str, str, Signature]] = []
        self.policies: list[Policy] = []
        self.listeners: list[tuple[str, str, Signature]] = []
        self.hooks: list[Hook] = []
        self.schedules: list[tuple[str, str, Signature]] = []
        if host.IS_WASM:
            # componentize-py looks for the classes of the contract in the module that it builds.
            from .exports import classes

            sys._getframe(1).f_globals.update(classes(self))

    # Routes

    def route(self, method: str, path: str) -> Callable[[F], F]:
        """Answers requests of a method, in upper case, at a path. A segment `{name}` is a parameter, and a last segment
        `{*rest}` matches the rest. An empty method means every other method.

        The function takes parameters of the path by their names, `request`, `context` and `socket`, parameters of the
        query, and the body: as `body`, or as any parameter whose hint is a data class, a dictionary or a list.
        """

        def declare(function: F) -> F:
            self.routes.append((method, path, Signature(function, arguments.of_request(path))))
            return function

        return declare

    def get(self, path: str) -> Callable[[F], F]:
        """Answers GET and HEAD requests. See `route`."""
        return self.route("GET", path)

    def post(self, path: str) -> Callable[[F], F]:
        """Answers POST requests. See `route`."""
        return self.route("POST", path)

    def put(self, path: str) -> Callable[[F], F]:
        """Answers PUT requests. See `route`."""
        return self.route("PUT", path)

    def patch(self, path: str) -> Callable[[F], F]:
        """Answers PATCH requests. See `route`."""
        return self.route("PATCH", path)

    def delete(self, path: str) -> Callable[[F], F]:
        """Answers DELETE requests. See `route`."""
        return self.route("DELETE", path)

    def head(self, path: str) -> Callable[[F], F]:
        """Answers HEAD requests. See `route`."""
        return self.route("HEAD", path)

    def options(self, path: str) -> Callable[[F], F]:
        """Answers OPTIONS requests. See `route`."""
        return self.route("OPTIONS", path)

    def all(self, path: str) -> Callable[[F], F]:
        """Answers requests of every method that no other route of the path names. See `route`."""
        return self.route("", path)

    # Policies

    def before(self, prefix: str = "/", method: str = "") -> Callable[[F], F]:
        """Runs before requests to paths below `prefix`. The function returns `None` to let the request pass, answers it
        with anything that a route may return, or raises a `Failure`."""
        return self._policy(True, prefix, method)

    def after(self, prefix: str = "/", method: str = "") -> Callable[[F], F]:
        """Runs after requests to paths below `prefix` have been answered. `status` is that of the response."""
        return self._policy(False, prefix, method)

    def _policy(self, is_before: bool, prefix: str, method: str) -> Callable[[F], F]:
        def declare(function: F) -> F:
            signature = Signature(function, arguments.of_request(""))
            self.policies.append(Policy(is_before, method, prefix, signature))
            return function

        return declare

    # Events

    def on(self, event: str, namespace: str = "/") -> Callable[[F], F]:
        """Handles an event. The function takes `socket`, `context`, `ack_wanted`, and the arguments of the event in
        their order. What it returns is the ack: a tuple is several arguments, and `None` leaves the ack to others."""
        return self._listener(namespace, event)

    def on_any(self, function: F | None = None, *, namespace: str = "/") -> Any:
        """Handles every event of the namespace for which this handler has no function, as `@app.on_any` or
        `@app.on_any(namespace="/chat")`. The function may also take `event`, its name."""
        declare = self._listener(namespace, "*")
        return declare if function is None else declare(function)

    def _listener(self, namespace: str, event: str) -> Callable[[F], F]:
        def declare(function: F) -> F:
            signature = Signature(function, arguments.of_event(event == "*"))
            self.listeners.append((namespace, event, signature))
            return function

        return declare

    # Hooks

    def on_connect(self, where: Any = "/") -> Any:
        """Runs when a client asks to connect, as `@app.on_connect` or `@app.on_connect("/chat")`. A `Failure` refuses
        the client. The function takes `socket`, `context` and `auth`."""
        return self._hooked("connect", where)

    def on_connected(self, where: Any = "/") -> Any:
        """Runs after a client has connected and before its first event. See `on_connect`."""
        return self._hooked("connected", where)

    def on_disconnect(self, where: Any = "/") -> Any:
        """Runs after a client has disconnected. The function may also take `reason`. See `on_connect`."""
        return self._hooked("disconnect", where)

    def _hooked(self, when: str, where: Any) -> Any:
        if callable(where):
            return self._hook(when, "/")(where)
        return self._hook(when, where)

    def _hook(self, when: str, namespace: str) -> Callable[[F], F]:
        def declare(function: F) -> F:
            signature = Signature(function, arguments.of_connection)
            free = (hook for hook in self.hooks if hook.namespace == namespace and getattr(hook, when) is None)
            hook = next(free, None)
            if hook is None:
                hook = Hook(namespace)
                self.hooks.append(hook)
            setattr(hook, when, signature)
            return function

        return declare

    # Schedules

    def every(self, length: str, name: str | None = None) -> Callable[[F], F]:
        """Runs a function again and again: `@app.every("5s")`, `@app.every("1h 30m")`. The times are the multiples of
        the length since 1970. The name of the schedule is that of the function, unless `name` is given."""
        return self.schedule(f"every {length}", name)

    def cron(self, expression: str, name: str | None = None) -> Callable[[F], F]:
        """Runs a function at the times of a cron expression: `@app.cron("0 9 * * MON-FRI Europe/Berlin")`. Times are in
        UTC unless a time zone follows. The name is as with `every`."""
        return self.schedule(expression, name)

    def schedule(self, spec: str, name: str | None = None) -> Callable[[F], F]:
        """Runs a function at times: `every` and a length, or a cron expression. It may take `due`, a `datetime`."""

        def declare(function: F) -> F:
            signature = Signature(function, arguments.of_schedule)
            self.schedules.append((name or function.__name__, spec, signature))
            return function

        return declare

"""The arguments of a handler's functions, found by the names and hints of their parameters.

What a function takes is worked out once, when it is declared, so that the snapshot of the component has it already.
"""

from __future__ import annotations

import datetime
import inspect
import json
import typing
from typing import Any, Callable, Mapping

from .context import Context
from .convert import Misfit, convert, convert_text, is_scalar, prepare
from .errors import Failure
from .requests import Request
from .sockets import Socket

_EMPTY = inspect.Parameter.empty
Take = Callable[[Any], Any]


class Signature:
    """A function with what each of its parameters takes from a call."""

    __slots__ = ("function", "_plan", "_takes")

    def __init__(self, function: Callable[..., Any], plan: Callable[[list[Parameter]], list[Take]]) -> None:
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{_name(function)} is asynchronous: a call waits by itself, so write `def` without `async`")
        self.function = function
        self._plan = plan
        self._takes: list[Take] | None = None
        try:
            self._takes = plan(_parameters(function))
        except NameError:
            # A hint names what stands further down in the file.
            pass

    def call(self, subject: Any) -> Any:
        """Calls the function with arguments from a request, an event, a connection or a time."""
        if self._takes is None:
            self._takes = self._plan(_parameters(self.function))
        arguments: list[Any] = []
        for take in self._takes:
            if isinstance(take, Rest):
                arguments.extend(take(subject))
            else:
                arguments.append(take(subject))
        return self.function(*arguments)


class Parameter:
    """A parameter of a function: its name, its hint, and its default value."""

    __slots__ = ("name", "hint", "default", "is_rest")

    def __init__(self, name: str, hint: Any, default: Any, is_rest: bool) -> None:
        self.name = name
        self.hint = hint
        self.default = default
        self.is_rest = is_rest

    @property
    def is_required(self) -> bool:
        """True if the parameter has no default value."""
        return self.default is _EMPTY


class Rest:
    """Takes all remaining arguments of an event, for `*arguments`."""

    __slots__ = ("_from",)

    def __init__(self, start: int) -> None:
        self._from = start

    def __call__(self, event: Any) -> list[Any]:
        return event.arguments[self._from :]


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", "the function")


def _parameters(function: Callable[..., Any]) -> list[Parameter]:
    hints = typing.get_type_hints(function) if hasattr(function, "__annotations__") else {}
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            raise TypeError(f"{_name(function)} takes **{name}, and a handler passes arguments by their order")
        is_rest = parameter.kind is inspect.Parameter.VAR_POSITIONAL
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            raise TypeError(f"{_name(function)} takes {name} by keyword only; remove the * before it")
        hint = hints.get(name, Any)
        prepare(hint)
        found.append(Parameter(name, hint, parameter.default, is_rest))
    return found


# What a function may take besides arguments of clients: by name and type, each with the way to get it. A class is
# recognised by the hint alone, and the others by their name if the hint does not say otherwise.
Specials = Mapping[str, tuple[type, Take]]


def _special(parameter: Parameter, specials: Specials) -> Take | None:
    hint = parameter.hint
    for kind, take in specials.values():
        if kind in (Request, Socket, Context) and (hint is kind or kind in typing.get_args(hint)):
            return take
    kind, take = specials.get(parameter.name, (None, None))
    return take if hint is Any or hint is kind else None


# Routes and policies


def of_request(path: str) -> Callable[[list[Parameter]], list[Take]]:
    """Returns what the function of a route, or of a policy if `path` is empty, takes from a request."""
    in_path = {part[1:-1].lstrip("*") for part in path.split("/") if part.startswith("{")}

    def plan(parameters: list[Parameter]) -> list[Take]:
        return [_take_request(parameter, in_path) for parameter in parameters]

    return plan


class Received:
    """A request as a call got it, with the status of the response for policies that run after it."""

    __slots__ = ("request", "status")

    def __init__(self, request: Request, status: int | None = None) -> None:
        self.request = request
        self.status = status


_OF_REQUESTS: Specials = {
    "request": (Request, lambda got: got.request),
    "context": (Context, lambda got: got.request.context),
    "socket": (Socket, lambda got: got.request.socket),
    "status": (int, lambda got: got.status),
}


def _take_request(parameter: Parameter, in_path: set[str]) -> Take:
    name, hint = parameter.name, parameter.hint
    if name in in_path:
        return lambda got: _from_word(got.request.param(name) or "", hint, name, "the path")
    special = _special(parameter, _OF_REQUESTS)
    if special is not None:
        return special
    if name == "body" or hint is bytes or not is_scalar(hint):
        return lambda got: _body(got.request, parameter)
    return lambda got: _from_query(got.request, parameter)


def _from_word(text: str, hint: Any, name: str, whole: str) -> Any:
    try:
        return convert_text(text, hint, name)
    except Misfit as misfit:
        raise misfit.failure(whole) from None


def _from_query(request: Request, parameter: Parameter) -> Any:
    text = request.query.get(parameter.name)
    if text is not None:
        return _from_word(text, parameter.hint, parameter.name, "the query")
    if not parameter.is_required:
        return parameter.default
    raise Misfit(parameter.name, "is missing").failure("the query")


def _body(request: Request, parameter: Parameter) -> Any:
    body, hint = request.body, parameter.hint
    if hint is bytes:
        return body
    if hint is str:
        return request.text
    if not body and not parameter.is_required:
        return parameter.default
    kind = (request.header("content-type") or "").partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        value: Any = request.form()
    else:
        try:
            value = json.loads(body)
        except ValueError as error:
            raise Failure(400, f"the body is not JSON: {error}") from None
    try:
        return convert(value, hint)
    except Misfit as misfit:
        raise misfit.failure("the body") from None


# Listeners


class Event:
    """An event as a call got it."""

    __slots__ = ("socket", "name", "arguments", "ack_wanted")

    def __init__(self, socket: Socket, name: str, arguments: list[Any], ack_wanted: bool) -> None:
        self.socket = socket
        self.name = name
        self.arguments = arguments
        self.ack_wanted = ack_wanted


def of_event(is_any: bool) -> Callable[[list[Parameter]], list[Take]]:
    """Returns what the function of a listener takes: `socket`, `context`, `ack_wanted`, for `on_any` also `event`, and
    the arguments of the event in their order."""
    specials = _OF_ANY_EVENT if is_any else _OF_EVENTS

    def plan(parameters: list[Parameter]) -> list[Take]:
        takes: list[Take] = []
        at = 0
        for parameter in parameters:
            take = None if parameter.is_rest else _special(parameter, specials)
            if take is None:
                take = Rest(at) if parameter.is_rest else _argument(parameter, at)
                at += 1
            takes.append(take)
        return takes

    return plan


_OF_EVENTS: Specials = {
    "socket": (Socket, lambda event: event.socket),
    "context": (Context, lambda event: event.socket.data),
    "ack_wanted": (bool, lambda event: event.ack_wanted),
}
_OF_ANY_EVENT: Specials = {**_OF_EVENTS, "event": (str, lambda event: event.name)}


def _argument(parameter: Parameter, at: int) -> Take:
    def take(event: Event) -> Any:
        if at >= len(event.arguments):
            if not parameter.is_required:
                return parameter.default
            raise Failure(400, f"the event does not fit: argument {at + 1}, `{parameter.name}`, is missing")
        try:
            return convert(event.arguments[at], parameter.hint)
        except Misfit as misfit:
            raise misfit.failure(f"the argument `{parameter.name}`") from None

    return take


# Hooks and schedules


class Connection:
    """A connection as a hook got it."""

    __slots__ = ("socket", "reason")

    def __init__(self, socket: Socket, reason: str | None = None) -> None:
        self.socket = socket
        self.reason = reason


_OF_CONNECTIONS: Specials = {
    "socket": (Socket, lambda got: got.socket),
    "context": (Context, lambda got: got.socket.data),
    "reason": (str, lambda got: got.reason),
}


def of_connection(parameters: list[Parameter]) -> list[Take]:
    """Returns what a hook takes: `socket`, `context`, `auth`, and `reason` when a client has disconnected."""
    takes: list[Take] = []
    for parameter in parameters:
        take = _take_auth(parameter) if parameter.name == "auth" else _special(parameter, _OF_CONNECTIONS)
        if take is None:
            raise TypeError(f"a hook takes socket, context, auth and reason, not {parameter.name}")
        takes.append(take)
    return takes


def _take_auth(parameter: Parameter) -> Take:
    def take(got: Connection) -> Any:
        try:
            return convert(got.socket.auth, parameter.hint)
        except Misfit as misfit:
            raise misfit.failure("the auth") from None

    return take


def of_schedule(parameters: list[Parameter]) -> list[Take]:
    """Returns what the function of a schedule takes: `due`, the time at which it is due, in UTC."""
    for parameter in parameters:
        if parameter.name != "due":
            raise TypeError(f"the function of a schedule takes due, or nothing, not {parameter.name}")
    utc = datetime.timezone.utc
    return [lambda ms: datetime.datetime.fromtimestamp(ms / 1000, utc) for _ in parameters]

"""Write handlers for Hitchy in Python.

A handler is one WebAssembly component, which componentize-py makes of a module. It answers HTTP requests, the same
requests over socket.io, and custom socket.io events, and it can emit to every connected client:

    from hitchy import App, Failure, Socket, emit

    app = App()

    @app.get("/api/hello/{name}")
    def hello(name: str):
        return {"hello": name}

    @app.on("chat:send")
    def send(socket: Socket, room: str, text: str):
        if not text:
            raise Failure(400, "there is no text in it")
        socket.to(room).emit("chat:message", text)
        return "sent"

Everything that a handler imports has to be imported when its module is, at the top, because a component has no files.
"""

from . import config, instance, kv, log
from .answers import Response, html, redirect
from .app import App
from .context import Context
from .errors import ConfigError, Failure, FetchError, StoreError
from .fetch import FetchResponse, fetch
from .requests import Request, dispatch
from .sockets import Audience, Socket, emit, except_, find, of, to, within

__all__ = [
    "App",
    "Audience",
    "ConfigError",
    "Context",
    "Failure",
    "FetchError",
    "FetchResponse",
    "Request",
    "Response",
    "Socket",
    "StoreError",
    "config",
    "dispatch",
    "emit",
    "except_",
    "fetch",
    "find",
    "html",
    "instance",
    "kv",
    "log",
    "of",
    "redirect",
    "to",
    "within",
]

"""A handler for Hitchy: a route for HTTP, and an event for socket.io clients.

`hitchy dev` builds it, serves it, and replaces it on every save. `.venv/bin/python -m unittest` runs its tests.
"""

from typing import TypedDict

from hitchy import App, Failure, emit

app = App()


# What comes from clients is checked: an event without one of these fields is refused.
Message = TypedDict("Message", {"from": str, "text": str})


@app.get("/api/hello/{name}")
def hello(name: str):
    """`GET /api/hello/Ada` answers `{"hello":"Ada"}`. The arguments are taken from the request: here the path."""
    return {"hello": name}


@app.on("chat:say")
def say(message: Message):
    """`socket.emit("chat:say", { from: "Ada", text: "hi" }, (answer) => …)`. What is returned is the answer, the ack."""
    if not message["text"]:
        raise Failure(400, "there is no text in it")
    # Every connected client gets an event `chat:said`; `socket.to("room")` would tell those in a room.
    emit("chat:said", message)
    return "told everyone"

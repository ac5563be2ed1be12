"""A site on the interfaces of wasi:http, as componentize-py offers them: it knows nothing of Hitchy."""

import asyncio

import poll_loop
from componentize_py_types import Ok
from poll_loop import PollLoop, Sink, Stream
from wit_world import exports
from wit_world.imports.types import Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        loop = PollLoop()
        asyncio.set_event_loop(loop)
        loop.run_until_complete(answer(request, response_out))


async def answer(request: IncomingRequest, response_out: ResponseOutparam) -> None:
    path = (request.path_with_query() or "").split("?")[0]
    headers = [("content-type", b"text/plain; charset=utf-8"), ("x-by", b"python")]
    response = OutgoingResponse(Fields.from_list(headers))
    body = response.body()
    ResponseOutparam.set(response_out, Ok(response))
    sink = Sink(body)
    if path.endswith("/echo"):
        stream = Stream(request.consume())
        while (chunk := await stream.next()) is not None:
            await sink.send(chunk)
    else:
        method = type(request.method()).__name__.removeprefix("Method_")
        await sink.send(f"{method} {request.path_with_query()}".encode())
    sink.close()

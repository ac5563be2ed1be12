"""Sends a request through `wasi:http` and waits for the response. It is imported in a component only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from componentize_py_types import Err, Ok
from wit_world.imports import outgoing_handler, streams, wasi_http_types as http

from .errors import FetchError

if TYPE_CHECKING:
    from .fetch import Parts

# Bytes that are read at once.
_PART = 64 << 10
_METHODS = {
    "GET": http.Method_Get,
    "HEAD": http.Method_Head,
    "POST": http.Method_Post,
    "PUT": http.Method_Put,
    "DELETE": http.Method_Delete,
    "OPTIONS": http.Method_Options,
    "PATCH": http.Method_Patch,
}
# Codes of the host, each with the kind of the error and a sentence.
_CODES = {
    "HttpRequestDenied": (
        "refused",
        "this handler may not call the server; the setting `outbound` names those that it may",
    ),
    "DestinationIpProhibited": ("refused", "the name of the server does not lead to a public address"),
    "HttpRequestUriInvalid": ("refused", "the host is not written in its usual form"),
    "HttpRequestMethodInvalid": ("invalid", "the method is not allowed"),
    "DnsTimeout": ("timeout", "the name was not resolved in time"),
    "ConnectionTimeout": ("timeout", "the server did not accept in time"),
    "ConnectionReadTimeout": ("timeout", "the server did not answer in time"),
    "ConnectionWriteTimeout": ("timeout", "the server did not answer in time"),
    "HttpResponseTimeout": ("timeout", "the server did not answer in time"),
    "DnsError": ("failed", "the name of the server cannot be resolved"),
    "DestinationNotFound": ("failed", "the name of the server cannot be resolved"),
    "ConnectionRefused": ("failed", "the server refuses connections"),
    "ConnectionLimitReached": ("failed", "too many requests are under way"),
    "TlsCertificateError": ("failed", "the certificate of the server is not accepted"),
    "TlsProtocolError": ("failed", "TLS failed"),
    "TlsAlertReceived": ("failed", "TLS failed"),
    "HttpRequestBodySize": ("failed", "the body of the request is too large"),
    "HttpResponseBodySize": ("failed", "the body of the response is too large"),
    "HttpResponseHeaderSectionSize": ("failed", "the head of the response is too large"),
    "HttpResponseIncomplete": ("failed", "the connection broke off"),
    "ConnectionTerminated": ("failed", "the connection broke off"),
    "HttpProtocolError": ("failed", "the response is not HTTP"),
}


def send(parts: Parts) -> tuple[int, list[tuple[str, str]], bytes]:
    """Sends a request. Returns the status, the headers and the body of the response."""
    request = _prepared(parts)
    # A request without a body can be sent again by the host when its connection turns out to be closed.
    body = request.body() if parts.body else None
    try:
        sent = outgoing_handler.handle(request, _options(parts))
    except Err as error:
        raise _failed(parts, error.value) from None
    if body is not None:
        _write(body, parts.body)
    return _received(parts, _awaited(parts, sent))


def _prepared(parts: Parts) -> Any:
    headers = http.Fields()
    try:
        for name, value in parts.headers:
            headers.append(name, value.encode())
        if parts.body:
            headers.set("content-length", [str(len(parts.body)).encode()])
    except Err:
        raise FetchError("invalid", f"{_named(parts)}: a header cannot be set") from None
    request = http.OutgoingRequest(headers)
    method = _METHODS.get(parts.method)
    try:
        request.set_method(method() if method else http.Method_Other(parts.method))
        request.set_scheme(http.Scheme_Https() if parts.is_secure else http.Scheme_Http())
        request.set_authority(parts.authority)
        request.set_path_with_query(parts.path)
    except Err:
        raise FetchError("invalid", f"{_named(parts)}: the method or the URL is not valid") from None
    return request


def _options(parts: Parts) -> Any:
    options = http.RequestOptions()
    if parts.timeout is not None:
        nanoseconds = int(parts.timeout * 1_000_000_000)
        for set_timeout in (
            options.set_connect_timeout,
            options.set_first_byte_timeout,
            options.set_between_bytes_timeout,
        ):
            try:
                set_timeout(nanoseconds)
            except Err:
                pass  # A host that does not support one of them keeps its own times.
    return options


def _write(body: Any, rest: bytes) -> None:
    """Writes the body. If the request fails meanwhile, the response has the error."""
    try:
        with body.write() as stream:
            while rest:
                part, rest = rest[:4096], rest[4096:]
                stream.blocking_write_and_flush(part)
        http.OutgoingBody.finish(body, None)
    except Err:
        pass


def _awaited(parts: Parts, sent: Any) -> Any:
    with sent.subscribe() as ready:
        ready.block()
    # It is ready, and nobody has taken it before: the outer result is Ok.
    outcome = sent.get()
    answer = outcome.value if isinstance(outcome, Ok) else None
    if isinstance(answer, Ok):
        return answer.value
    if isinstance(answer, Err):
        raise _failed(parts, answer.value)
    raise FetchError("failed", f"{_named(parts)}: there is no response")


def _received(parts: Parts, response: Any) -> tuple[int, list[tuple[str, str]], bytes]:
    status = response.status()
    with response.headers() as fields:
        headers = [(name, value.decode("utf-8", "replace")) for name, value in fields.entries()]
    content = bytearray()
    with response.consume() as body:
        with body.stream() as stream:
            while True:
                try:
                    content += stream.blocking_read(_PART)
                except Err as error:
                    if isinstance(error.value, streams.StreamError_Closed):
                        return status, headers, bytes(content)
                    code = http.http_error_code(error.value.value)
                    if code is not None:
                        raise _failed(parts, code) from None
                    raise FetchError("failed", f"{_named(parts)}: the response broke off") from None


def _failed(parts: Parts, code: Any) -> FetchError:
    name = type(code).__name__.removeprefix("ErrorCode_")
    kind, sentence = _CODES.get(name, ("failed", "the request failed"))
    return FetchError(kind, f"{_named(parts)}: {sentence}")


def _named(parts: Parts) -> str:
    """Returns method and URL for errors. The query may hold secrets and is left out."""
    return f"{parts.method} {parts.url.partition('?')[0]}"

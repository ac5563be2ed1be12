"""The functions of the server: the bindings that componentize-py makes of the contract, or their double in tests."""

from __future__ import annotations

import json
from typing import Any, Callable, TypeVar

from .errors import Failure

try:
    from componentize_py_types import Err
    from wit_world.imports import (
        atomics,
        batch,
        hitchy_platform_types as types,
        instances,
        log,
        requests,
        sockets,
        wasi_config_store as config_store,
        wasi_keyvalue_store as keyvalue,
    )

    from .wasi_http import send

    IS_WASM = True
except ImportError:
    # Not inside a component: tests of a handler, or a tool that reads it.
    from . import double

    Err = double.Err  # type: ignore[misc, assignment]
    types = double.types  # type: ignore[assignment]
    atomics = batch = keyvalue = double.keyvalue  # type: ignore[assignment]
    config_store = double.config_store  # type: ignore[assignment]
    instances = double.instances  # type: ignore[assignment]
    log = double.log  # type: ignore[assignment]
    requests = double.requests  # type: ignore[assignment]
    sockets = double.sockets  # type: ignore[assignment]
    send = double.send  # type: ignore[assignment]

    IS_WASM = False

T = TypeVar("T")


def checked(function: Callable[..., T], *arguments: Any) -> T:
    """Calls a function of the server, and raises a failure that it returns."""
    try:
        return function(*arguments)
    except Err as error:
        raise failure_of(error.value) from None


def failure_of(failure: Any) -> Failure:
    """Returns the failure that the server has written."""
    data = None if failure.data is None else json.loads(failure.data)
    return Failure(failure.code, failure.message, data)

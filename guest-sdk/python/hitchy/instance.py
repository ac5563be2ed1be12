"""How long what is in memory lasts. The operator chooses it with the setting `instances` of the handler."""

from __future__ import annotations

from . import host


def life() -> str:
    """Returns how long this instance lives: `call`, `socket` or `shared`."""
    return host.instances.life()


def calls() -> int:
    """Returns the number of calls that this instance had before this one."""
    return host.instances.calls()

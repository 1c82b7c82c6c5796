"""The other end of ``workers``: runs in a process of its own, under whatever interpreter."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, BinaryIO

from .. import registry
from ..backend import BackendInfo
from . import origin, wire
from ._plain import from_plain
from .measure import Array, Case
from .perform import Plan, described, perform
from .places import Place
from .portrait import Decoder
from .records import FAILED


def main(stream: BinaryIO, out: BinaryIO, first: dict[str, Any]) -> None:
    """Do the one job that comes, and send what it gives.

    Args:
        stream: where the job comes from.
        out: where the messages go.
        first: what the parent said first: ``packages``, the backend's ``info``.
    """
    origin.SHARED.update(first["packages"])
    registry.register(from_plain(BackendInfo, first["info"]))

    def send(message: dict[str, Any], arrays: Sequence[Array] = ()) -> None:
        wire.write(out, message, arrays)

    received = wire.read(stream)
    assert received is not None
    job, arrays = received
    try:
        decoder = Decoder(arrays)
        net, case, plan = decoder.decode(job["net"]), decoder.decode(job["case"]), decoder.decode(job["plan"])
        assert isinstance(case, Case) and isinstance(plan, Plan)
        place = Place(**job["place"])
    except Exception as error:
        send(
            {
                "what": "ended",
                "status": FAILED,
                "message": f"the net cannot be made there: {described(error)}",
            }
        )
        return
    perform(place, net, case, plan, send)
    send({"what": "done"})
    out.flush()
    os._exit(0)  # not through the frameworks' own ends, some of which hang or crash


__all__ = ["main"]

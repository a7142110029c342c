"""The model hub that timm and others fetch pretrained weights from. The one place that knows huggingface_hub.

What was fetched once is used without asking the hub. Whether it can be reached at all is found out in seconds: its
own client tries again and again, for minutes where a firewall swallows everything.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from huggingface_hub import constants, get_session

from learner.errors import WeightsUnavailable

T = TypeVar("T")

PATIENCE_S = 4.0
"""The hub answers within this, or counts as out of reach."""


def fetch_pretrained(make: Callable[[], T], name: str) -> T:
    """Make something whose weights lie in the hub: from the cache of what was fetched before, else from the hub.

    Args:
        make: builds it with its weights.
        name: of what it is, for messages.

    Raises:
        WeightsUnavailable: there are none, or the hub cannot be reached; the message says why.
    """
    wanted_offline = constants.HF_HUB_OFFLINE
    try:
        with offline():
            return make()
    except Exception as exc:  # the hub's client raises whatever its transport raises
        if "No pretrained weights exist" in str(exc):
            raise WeightsUnavailable(f"there are no ImageNet weights of {name}") from exc
        if wanted_offline:
            raise WeightsUnavailable(
                f"the ImageNet weights of {name} were not fetched before, and HF_HUB_OFFLINE prevents fetching them now"
            ) from exc
    why = _out_of_reach()
    if why is None:
        try:
            with _impatient_sockets():
                return make()
        except Exception as exc:
            raise WeightsUnavailable(
                f"the ImageNet weights of {name} cannot be fetched from the model hub ({type(exc).__name__})"
            ) from exc
    raise WeightsUnavailable(
        f"the ImageNet weights of {name} cannot be fetched: the model hub ({constants.ENDPOINT}) cannot be reached "
        f"({why})"
    )


@contextmanager
def offline() -> Iterator[None]:
    """Within this, only what was fetched before is there."""
    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        with _impatient_sockets():
            yield
    finally:
        constants.HF_HUB_OFFLINE = before


@contextmanager
def _impatient_sockets() -> Iterator[None]:
    # Weights that lie elsewhere than in the hub are fetched by torch, which would wait for ever.
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _out_of_reach() -> str | None:
    """Say why the hub cannot be reached; None where it can."""
    found: list[str | None] = []

    def ask() -> None:
        try:
            # Through the client's own session, so that proxies and certificates are those of the real request.
            status = get_session().head(constants.ENDPOINT, timeout=PATIENCE_S).status_code
        except Exception as exc:  # as above
            found.append(type(exc).__name__)
        else:
            found.append(f"it answers with status {status}" if status >= 500 else None)

    # Looking up a name cannot be given a time limit, so somebody else does the waiting.
    asking = threading.Thread(target=ask, name="is the model hub there", daemon=True)
    asking.start()
    asking.join(2 * PATIENCE_S)
    return found[0] if found else f"no answer within {2 * PATIENCE_S:.0f} seconds"

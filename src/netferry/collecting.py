"""The collector of cycles, kept out of work on syntax trees."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused() -> Iterator[None]:
    """Pause the collector: one search through all that an imported framework keeps takes longer than a whole stage.

    Not for running networks, whose arrays may lie in cycles.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()

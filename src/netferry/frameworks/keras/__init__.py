"""Conventions of Keras, as ``keras`` and as ``tf.keras``."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def _unheard() -> Iterator[None]:
    """Keep from stderr what compiled code writes there, whatever log level is set."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


# TensorFlow tells on import, and when it first looks for devices, what it finds on the machine: no news of the network.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with _unheard(), contextlib.suppress(ImportError):
    import tensorflow

    tensorflow.config.list_physical_devices()

"""Reading TensorFlow's checkpoints and the variables of a SavedModel: nothing in them is run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf

from netferry.diagnostics import failure
from netferry.frameworks.keras.object_graph import named
from netferry.weights.formats import Array

_SUFFIX: Final = "/.ATTRIBUTES/VARIABLE_VALUE"
_OTHERS: Final = ("_CHECKPOINTABLE_OBJECT_GRAPH", "save_counter")


class TensorflowFile:
    """A checkpoint that ``.index`` leads to; its arrays are named by their paths through the saved objects."""

    def __init__(self, path: Path) -> None:
        prefix = path.with_name(path.name.removesuffix(".index"))
        if not list(path.parent.glob(f"{prefix.name}.data-*")):
            raise failure("NF060", f"{path.name} lists arrays, but the file with them ({prefix.name}.data-...) is not beside it",
                          file=path)  # fmt: skip
        self._reader: Any = tf.train.load_checkpoint(str(prefix))
        keys = [k for k in self._reader.get_variable_to_shape_map() if not k.startswith(_OTHERS)]
        self._keys = {_name(key): key for key in sorted(keys)}

    def names(self) -> Iterable[str]:
        """The names of all arrays."""
        return self._keys

    def read(self, name: str) -> Array:
        """One array."""
        return np.asarray(self._reader.get_tensor(self._keys[name]))


def _name(key: str) -> str:
    """``model/_operations/1/_kernel/.ATTRIBUTES/VARIABLE_VALUE`` -> ``model.operations.1.kernel``."""
    return named(key.removesuffix(_SUFFIX).replace("/", "."))

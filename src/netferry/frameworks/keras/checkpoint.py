"""Where Keras keeps each variable of a network in a ``.weights.h5`` file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np

from netferry.frameworks.keras import paths
from netferry.frameworks.keras.object_graph import places
from netferry.weights.map import TargetFile

_MARK: Final = "netferry_variable"
_SMALL: Final = 1 << 10
"""Elements up to which an array that is no variable of a layer (a random generator's state) goes into the map."""


class _MarkingStore:
    """Stands between a layer and the file: stores a number for each variable instead of its values."""

    def __init__(self, store: Any, numbers: dict[int, int]) -> None:
        self._store = store
        self._numbers = numbers

    def __setitem__(self, key: str, value: Any) -> None:
        number = self._numbers.get(id(value), self._numbers.get(id(getattr(value, "value", None))))
        self._store[key] = value if number is None else np.array([_mark(), number])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def _mark() -> int:
    return int.from_bytes(_MARK.encode()[:7], "big")


def locate(network: Any) -> TargetFile:
    """The place of every variable, found by saving the (built) network with a mark for each instead of its values."""
    named = list(paths.variables(network))
    numbers = {id(variable): number for number, (_, variable) in enumerate(named)}
    numbers |= {id(variable.value): number for number, (_, variable) in enumerate(named)}
    found: dict[str, str] = {}
    others: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="netferry-") as folder, ExitStack() as stack:
        for _, layer in paths.layers(network):
            stack.enter_context(_marking(layer, numbers))
        file = Path(folder) / "marks.weights.h5"
        network.save_weights(file)
        for place, values in _datasets(file):
            if values.shape == (2,) and values.dtype.kind == "i" and values[0] == _mark():
                found.setdefault(named[values[1]][0], place)
            elif values.size <= _SMALL:
                others[place] = {"dtype": str(values.dtype), "values": values.tolist()}
    return TargetFile(found, others, places(network))


@contextmanager
def _marking(layer: Any, numbers: dict[int, int]) -> Iterator[None]:
    original: Callable[[Any], None] = layer.save_own_variables
    object.__setattr__(layer, "save_own_variables", lambda store: original(_MarkingStore(store, numbers)))
    try:
        yield
    finally:
        object.__delattr__(layer, "save_own_variables")


def _datasets(path: Path) -> Iterator[tuple[str, Any]]:
    places: list[str] = []
    with h5py.File(path) as file:
        file.visititems(lambda name, item: places.append(name) if isinstance(item, h5py.Dataset) else None)
        for place in places:
            yield place, np.asarray(file[place])

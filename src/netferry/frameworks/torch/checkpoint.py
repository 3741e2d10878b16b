"""Reading PyTorch's own checkpoints, weights only: nothing in the file is run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from netferry.diagnostics import failure
from netferry.frameworks.torch.runtime import to_array
from netferry.weights.formats import Array

_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "params", "weights")
"""Keys under which training scripts put the state beside that of the optimiser."""


class TorchFile:
    """A ``.pt`` or ``.pth`` file, mapped into memory where its format allows."""

    def __init__(self, path: Path) -> None:
        self._arrays = _tensors(_load(path), path)

    def names(self) -> Iterable[str]:
        """The names of all arrays."""
        return self._arrays

    def read(self, name: str) -> Array:
        """One array; bfloat16 becomes float32."""
        array: Array = to_array(self._arrays[name])
        return array


def write(path: Path, arrays: Iterable[tuple[str, Array]]) -> None:
    """Save arrays as a state dictionary, whole or not at all."""
    state = {name: torch.from_numpy(np.array(array)) for name, array in arrays}
    partial = path.with_name(f"{path.name}.part")
    torch.save(state, partial)
    partial.replace(path)


def _load(path: Path) -> Any:
    from pickle import UnpicklingError

    try:
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:
            # Files from before version 1.6 are no archives and cannot be mapped.
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        hint = (
            "Save the weights alone: torch.save(network.state_dict(), FILE). Files that need code to load are not read."
        )
        raise failure("NF060", f"{path.name} holds more than weights", file=path, hint=hint) from error


def _tensors(loaded: Any, path: Path) -> Mapping[str, torch.Tensor]:
    if isinstance(loaded, Mapping):
        for key in _WRAPPERS:
            if isinstance(loaded.get(key), Mapping):
                return _tensors(loaded[key], path)
        found = {str(name): value for name, value in loaded.items() if isinstance(value, torch.Tensor)}
        if found:
            return found
    raise failure("NF060", f"{path.name} holds no named tensors", file=path)

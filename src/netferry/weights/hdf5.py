"""Reading weights files in HDF5, alone or inside the archive of a whole network: nothing in them is run."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from netferry.diagnostics import failure
from netferry.weights.formats import Array

_INSIDE = "model.weights.h5"


class Hdf5File:
    """A ``.weights.h5`` file, or the one inside a ``.keras`` archive; arrays are named by their places."""

    def __init__(self, path: Path) -> None:
        import h5py

        source: Any = path
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if _INSIDE not in archive.namelist():
                    raise failure("NF060", f"{path.name} holds no {_INSIDE}", file=path)
                source = io.BytesIO(archive.read(_INSIDE))
        self._file = h5py.File(source, "r")
        self._names: list[str] = []
        self._file.visititems(lambda name, item: self._names.append(name) if isinstance(item, h5py.Dataset) else None)

    def names(self) -> Iterable[str]:
        """The places of all arrays."""
        return self._names

    def read(self, name: str) -> Array:
        """One array."""
        return np.asarray(self._file[name])

"""Array files that need no framework: ``.safetensors``, ``.npz`` and HDF5, read and written array by array."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import numpy as np

from netferry.diagnostics import failure, not_installed

Array = np.ndarray[Any, Any]
Read = Callable[[str], Array]
Named = Iterable[tuple[str, Array]]

_SAFE_TYPES: Final[Mapping[str, str]] = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "<u1", "BOOL": "|b1",
}  # fmt: skip
_SAFE_NAMES: Final = {np.dtype(code): name for name, code in _SAFE_TYPES.items() if name != "BF16"}
_HEADER_PER_ARRAY: Final = 256
"""Bytes that an array's type, shape and place take in a header, at most (its name comes on top)."""


class Checkpoint(Protocol):
    """An open file of named arrays."""

    def names(self) -> Iterable[str]:
        """The names of all arrays."""

    def read(self, name: str) -> Array:
        """One array; raises KeyError."""


class SafetensorsFile:
    """A ``.safetensors`` file mapped into memory."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            start = file.read(8)
            size = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 2 <= size <= path.stat().st_size - 8:
                raise ValueError("its header is malformed")
            header = json.loads(file.read(size))
        self._entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        self._offset = 8 + size
        body = path.stat().st_size - self._offset
        self._body = np.memmap(path, "u1", "r", self._offset) if body else np.zeros(0, "u1")
        for name, entry in self._entries.items():
            if entry["dtype"] not in _SAFE_TYPES or entry["data_offsets"][1] > body:
                raise ValueError(f"array {name} is malformed or of unknown type {entry['dtype']}")

    def names(self) -> Iterable[str]:
        """The names of all arrays."""
        return self._entries

    def read(self, name: str) -> Array:
        """One array; bfloat16 becomes float32."""
        entry = self._entries[name]
        start, end = entry["data_offsets"]
        array = self._body[start:end].view(_SAFE_TYPES[entry["dtype"]]).reshape(entry["shape"])
        if entry["dtype"] == "BF16":
            return (array.astype("u4") << 16).view("f4")
        return array


class ShardedFile:
    """Several ``.safetensors`` files under one ``.index.json``."""

    def __init__(self, path: Path) -> None:
        self._files: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        self._folder = path.parent
        self._open: dict[str, SafetensorsFile] = {}

    def names(self) -> Iterable[str]:
        """The names of all arrays."""
        return self._files

    def read(self, name: str) -> Array:
        """One array, from the file that holds it."""
        shard = Path(self._files[name]).name
        if shard not in self._open:
            self._open[shard] = SafetensorsFile(self._folder / shard)
        return self._open[shard].read(name)


class NumpyFile:
    """A ``.npz`` file; objects in it are refused."""

    def __init__(self, path: Path) -> None:
        self._file = np.load(path, allow_pickle=False)
        if not hasattr(self._file, "files"):
            raise ValueError("it holds a single array")

    def names(self) -> Iterable[str]:
        """The names of all arrays."""
        return list(self._file.files)

    def read(self, name: str) -> Array:
        """One array."""
        array: Array = self._file[name]
        return array


def write_safetensors(path: Path, names: Iterable[str], arrays: Named) -> None:
    """Write arrays as they come; the header's place is kept free and filled in last."""
    reserved = sum(len(json.dumps(name)) + _HEADER_PER_ARRAY for name in names) + 64
    reserved += -reserved % 8
    header: dict[str, Any] = {}
    with path.open("wb") as file:
        file.seek(8 + reserved)
        position = 0
        for name, given in arrays:
            array = _plain(given)
            header[name] = {
                "dtype": _SAFE_NAMES[array.dtype],
                "shape": list(array.shape),
                "data_offsets": [position, position + array.nbytes],
            }
            file.write(array.data if array.size else b"")
            position += array.nbytes
        text = json.dumps(header, separators=(",", ":")).encode()
        file.seek(0)
        file.write(struct.pack("<Q", reserved) + text.ljust(reserved))


def write_npz(path: Path, names: Iterable[str], arrays: Named) -> None:
    """Write arrays as they come."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                _write_array(member, _plain(array))


def _write_array(member: Any, array: Array) -> None:
    file: BinaryIO = member
    np.lib.format.write_array(file, array, allow_pickle=False)


def write_h5(path: Path, arrays: Named) -> None:
    """Write arrays at their places in an HDF5 file, as they come."""
    with _h5(path, "w") as file:
        for place, array in arrays:
            file.create_dataset(place, data=array)


@contextmanager
def _h5(path: Path, mode: str) -> Iterator[Any]:
    try:
        import h5py
    except ImportError as error:
        raise not_installed("h5py", "tensorflow") from error
    with h5py.File(path, mode) as file:
        yield file


def _plain(array: Array) -> Array:
    """In memory order and of a type that every format knows."""
    array = np.ascontiguousarray(array).reshape(array.shape)
    if array.dtype.newbyteorder("<") not in _SAFE_NAMES:
        raise failure("NF061", f"arrays of type {array.dtype} cannot be written")
    return array.astype(array.dtype.newbyteorder("<"), copy=False)

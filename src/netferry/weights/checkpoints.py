"""Turning a checkpoint of the source framework into one of the target, array by array."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from netferry.diagnostics import NetferryError, failure
from netferry.weights import formats
from netferry.weights.formats import Array, Checkpoint
from netferry.weights.map import Entry, WeightMap, apply

Progress = Callable[[int, int], None]
"""Called after each array with the number done and the number of all."""

_READERS: Final[Mapping[str, tuple[str, str]]] = {
    ".safetensors": ("netferry.weights.formats", "SafetensorsFile"),
    ".safetensors.index.json": ("netferry.weights.formats", "ShardedFile"),
    ".npz": ("netferry.weights.formats", "NumpyFile"),
    ".h5": ("netferry.weights.hdf5", "Hdf5File"),
    ".keras": ("netferry.weights.hdf5", "Hdf5File"),
    ".index": ("netferry.frameworks.keras.tf_checkpoint", "TensorflowFile"),
    ".pt": ("netferry.frameworks.torch.checkpoint", "TorchFile"),
    ".pth": ("netferry.frameworks.torch.checkpoint", "TorchFile"),
    ".bin": ("netferry.frameworks.torch.checkpoint", "TorchFile"),
}
_WRITTEN: Final = (".safetensors", ".npz", ".weights.h5", ".pt")
_WHOLE_NETWORK: Final = ".keras"
"""A format that holds the architecture too, which only the network's own code can describe."""


def convert_checkpoint(
    source_file: Path | str, map_file: Path | str, out_file: Path | str, progress: Progress | None = None
) -> int:
    """Write what ``source_file`` holds as the target's arrays; returns their number.

    Raises:
        NetferryError: a file cannot be read, the map does not fit, or the format cannot be written.
    """
    _kind(Path(out_file))
    file = located(source_file)
    weight_map = WeightMap.load(map_file)
    return write_converted(open_checkpoint(file), weight_map, Path(out_file), file.name, Path(map_file).name, progress)


def write_converted(
    checkpoint: Checkpoint, weight_map: WeightMap, out: Path, name: str, map_name: str = "the weight map",
    progress: Progress | None = None,
) -> int:  # fmt: skip
    """Write the arrays of a checkpoint (called ``name``) as the target's; returns their number."""
    kind = _kind(out)
    made = _counted(_converted(checkpoint, weight_map, name), len(weight_map.entries), progress)
    targets = [entry.target for entry in weight_map.entries]
    if kind == ".weights.h5":
        formats.write_h5(out, _placed(made, weight_map, map_name))
    elif kind == ".pt":
        save = importlib.import_module("netferry.frameworks.torch.checkpoint").write
        save(out, ((entry.target, array) for entry, array in made))
    else:
        write = formats.write_safetensors if kind == ".safetensors" else formats.write_npz
        write(out, targets, ((entry.target, array) for entry, array in made))
    return len(targets)


def located(given: Path | str) -> Path:
    """The file to open for a checkpoint, which may be named by its folder or by what its files' names begin with."""
    path = Path(given)
    index = path.with_name(f"{path.name}.index")
    if path.is_dir():
        found = [path / "variables" / "variables.index", *sorted(path.glob("*.index"))]
        index = next((f for f in found if f.is_file()), index)
        others = [f for f in found if f.is_file() and f != index]
        if others and index.parent == path:
            shown = ", ".join(f.stem for f in (index, *others))
            raise failure(
                "NF060", f"{path.name} holds several checkpoints: {shown}", file=path, hint="Name one of them."
            )
    if not path.is_file() and index.is_file():
        return index
    if not path.is_file():
        raise failure("NF001", f"there is no file {path}", file=path)
    return path


def open_checkpoint(path: Path) -> Checkpoint:
    """The arrays of a checkpoint; never runs code that the file holds."""
    found = [suffix for suffix in _READERS if path.name.endswith(suffix)]
    if not found:
        raise failure("NF060", f"{path.name} has none of the suffixes {', '.join(_READERS)}", file=path)
    if not path.is_file():
        raise failure("NF001", f"there is no file {path}", file=path)
    module, name = _READERS[max(found, key=len)]
    try:
        return cast(Checkpoint, getattr(importlib.import_module(module), name)(path))
    except NetferryError:
        raise
    except Exception as error:  # Each format has its own errors for malformed files.
        lines = str(error).strip().splitlines()
        raise failure("NF060", f"{path.name} cannot be read: {lines[0] if lines else error!r}", file=path) from error


def _kind(out: Path) -> str:
    if out.name.endswith(_WHOLE_NETWORK):
        hint = (
            "Write a .weights.h5 file instead; then build the network, call it once, and use "
            f'load_weights("{out.stem}.weights.h5") and save("{out.name}").'
        )
        raise failure(
            "NF064", f"a {_WHOLE_NETWORK} file also holds the architecture, which only code can give", hint=hint
        )
    for suffix in _WRITTEN:
        if out.name.endswith(suffix):
            return suffix
    raise failure(
        "NF064", f"{out.name} has none of the suffixes {', '.join(_WRITTEN)}", hint="Choose one of them with -o."
    )


def _converted(checkpoint: Checkpoint, weight_map: WeightMap, source: str) -> Iterator[tuple[Entry, Array]]:
    names = _located(checkpoint, weight_map, source)
    dtype: np.dtype[Any] = np.dtype("float32")

    def read(name: str) -> Array:
        nonlocal dtype
        array = checkpoint.read(names[name])
        _fits(name, array, weight_map, source)
        dtype = array.dtype
        return array

    for entry, array in apply(weight_map, read):
        # Parts made from nothing are float64; the file keeps the type of the arrays it came from.
        yield entry, array.astype(dtype, copy=False)


def _fits(name: str, array: Array, weight_map: WeightMap, source: str) -> None:
    """Raise NF061 for an array that has not the shape that the network has."""
    expected = weight_map.shapes.get(name)
    if expected is not None and tuple(expected) != tuple(array.shape):
        shapes = f"{tuple(array.shape)} in {source}, {tuple(expected)} in the network"
        hint = "Migrate the network as it was built for this file: with --call."
        raise failure("NF061", f"{name} has another shape: {shapes}", file=source, hint=hint)


def _located(checkpoint: Checkpoint, weight_map: WeightMap, source: str) -> dict[str, str]:
    """Name in the map -> name in the file, which may have a prefix before every name (``module.``)."""
    present = set(checkpoint.names())
    needed = sorted(weight_map.sources)
    elsewhere = {name: weight_map.source_h5[name] for name in needed if name in weight_map.source_h5}
    if len(elsewhere) == len(needed) and present.issuperset(elsewhere.values()):
        return elsewhere
    if not needed or present.issuperset(needed):
        return {name: name for name in needed}
    for places in _ways(needed, weight_map):
        first = places[needed[0]]
        prefixes = {name.removesuffix(first) for name in present if name == first or name.endswith(f".{first}")}
        for prefix in sorted(prefixes):
            if present.issuperset(prefix + place for place in places.values()):
                return {name: prefix + place for name, place in places.items()}
    missing = [name for name in needed if name not in present]
    shown = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
    raise failure("NF061", f"{source} lacks {len(missing)} of {len(needed)} arrays: {shown}", file=source)


def _ways(needed: Sequence[str], weight_map: WeightMap) -> Iterator[dict[str, str]]:
    """The ways in which a file may name the arrays: as the map does, or by their paths through the saved objects."""
    yield {name: name for name in needed}
    graph = weight_map.source_graph
    for ways in zip(*(graph.get(name, ()) for name in needed), strict=False):
        if all(ways) and len(set(ways)) == len(ways):
            yield dict(zip(needed, ways, strict=True))


def _placed(made: Iterator[tuple[Entry, Array]], weight_map: WeightMap, map_name: str) -> Iterator[tuple[str, Array]]:
    file = weight_map.target_h5
    if file is None:
        hint = "Write .safetensors or .npz instead, or migrate again with verification."
        raise failure("NF061", f"{map_name} does not say where arrays lie in a .weights.h5 file", hint=hint)
    for entry, array in made:
        if entry.target not in file.paths:
            raise failure("NF061", f"{map_name} does not say where {entry.target} lies in a .weights.h5 file")
        yield file.paths[entry.target], array
    for place, other in file.others.items():
        yield place, np.asarray(other["values"], dtype=other["dtype"])


def _counted(
    made: Iterator[tuple[Entry, Array]], total: int, progress: Progress | None
) -> Iterator[tuple[Entry, Array]]:
    for done, item in enumerate(made, 1):
        yield item
        if progress is not None:
            progress(done, total)

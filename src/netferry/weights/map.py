"""The weight map: which arrays of the source make which array of the target, and how."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from netferry.diagnostics import failure
from netferry.weights.rearrange import Recipe

SCHEMA: Final = "netferry.weights"
VERSION: Final = 1

Array = np.ndarray[Any, Any]
Kind = Literal["parameter", "buffer"]


@dataclass(frozen=True)
class Entry:
    """One array of the target: where it lies, what makes it, and whether it is trained."""

    target: str
    recipe: Recipe
    trainable: bool = True
    kind: Kind = "parameter"

    @property
    def sources(self) -> tuple[str, ...]:
        """The source arrays it is made of (a part made from nothing has none)."""
        return tuple(name for name, _ in self.recipe.inputs if name)

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return {
            "target": self.target,
            "source": list(self.sources),
            **self.recipe.describe(),
            "trainable": self.trainable,
            "kind": self.kind,
        }

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Entry:
        """What :meth:`to_json` wrote."""
        return cls(entry["target"], Recipe.of(entry), entry["trainable"], entry["kind"])


@dataclass(frozen=True)
class TargetFile:
    """Where the target framework's own weights file keeps its arrays.

    Attributes:
        paths: array of the target -> place in the file.
        others: place -> type and values of the file's further small arrays (states of random generators).
    """

    paths: Mapping[str, str]
    others: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    graph: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Array -> its places in checkpoints that follow the objects of a network."""


@dataclass(frozen=True)
class WeightMap:
    """All arrays of the target; ``dropped`` names the source arrays that it does not need, each with the reason."""

    entries: Sequence[Entry]
    source: str = ""
    target: str = ""
    dropped: Mapping[str, str] = field(default_factory=dict)
    target_h5: TargetFile | None = None
    source_h5: Mapping[str, str] = field(default_factory=dict)
    """Array of the source -> its place in the weights files of a framework that names them otherwise."""
    source_graph: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Array of the source -> its places in checkpoints that follow the objects of a network, by each way of naming these."""
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """The shapes of the source's arrays."""

    @property
    def sources(self) -> set[str]:
        """Every source array that some entry uses."""
        return {name for entry in self.entries for name in entry.sources}

    def __len__(self) -> int:
        return len(self.entries)

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        made: dict[str, Any] = {
            "schema": SCHEMA,
            "version": VERSION,
            "source": self.source,
            "target": self.target,
            "arrays": [entry.to_json() for entry in self.entries],
            "dropped": dict(self.dropped),
        }
        if self.target_h5 is not None:
            made["target_h5"] = {"paths": dict(self.target_h5.paths), "others": dict(self.target_h5.others)}
        if self.source_h5:
            made["source_h5"] = dict(self.source_h5)
        if self.shapes:
            made["shapes"] = {name: list(shape) for name, shape in self.shapes.items()}
        if self.source_graph:
            made["source_graph"] = {name: list(places) for name, places in self.source_graph.items()}
        return made

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> WeightMap:
        """What :meth:`to_json` wrote; raises KeyError or ValueError for anything else."""
        if data["schema"] != SCHEMA or data["version"] != VERSION:
            raise ValueError(f"schema {data['schema']!r}, version {data['version']!r}")
        file = TargetFile(**data["target_h5"]) if "target_h5" in data else None
        entries = tuple(Entry.from_json(entry) for entry in data["arrays"])
        places = (data.get(name, {}) for name in ("source_h5", "source_graph", "shapes"))
        return cls(entries, data["source"], data["target"], data.get("dropped", {}), file, *places)

    def save(self, path: Path | str) -> None:
        """Write the map as JSON."""
        Path(path).write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path | str) -> WeightMap:
        """Read a map; raises NetferryError when the file is none."""
        try:
            return cls.from_json(json.loads(Path(path).read_text(encoding="utf-8")))
        except OSError as error:
            raise failure("NF001", f"the weight map cannot be read: {error.strerror}", file=path) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise failure("NF062", f"this is no weight map of netferry: {error}", file=path) from error


def apply(weight_map: WeightMap, arrays: Callable[[str], Array]) -> Iterator[tuple[Entry, Array]]:
    """Make the target's arrays one by one; ``arrays`` reads one array of the source.

    Raises:
        NetferryError: an array is missing or does not have the shape that the map was made for.
    """
    for entry in weight_map.entries:
        try:
            made = entry.recipe({name: arrays(name) for name in entry.sources})
        except KeyError as error:
            raise failure("NF061", f"{entry.target} is made from {error.args[0]!r}, which is missing") from error
        except (ValueError, IndexError) as error:
            raise failure("NF061", f"{entry.target} cannot be made: {error}") from error
        yield entry, made

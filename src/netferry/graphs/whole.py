"""Networks without source: files that hold a whole one, and live objects."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from netferry.diagnostics import failure
from netferry.frameworks import catalog
from netferry.weights.formats import Checkpoint
from netferry.weights.map import WeightMap


class Original(Protocol):
    """A live network that code is written for."""

    label: str
    """What it is called in reports: its file, or its own name."""

    folders: Mapping[str, Path]
    """The top modules that define its own classes -> the folders that hold them."""

    def source(self) -> tuple[str, str]:
        """Code of its own framework that builds it, and the function that does."""

    def factory(self) -> Callable[[], Any]:
        """A function that builds it anew, with other weights."""

    def own_names(self, weight_map: WeightMap, rebuilt: Any) -> WeightMap:
        """A map from the arrays of the network that the code builds as one from those of the original."""

    def weights(self) -> Checkpoint:
        """Its arrays."""


@dataclass
class Whole:
    """A network without source, and the framework it is of."""

    framework: str
    original: Original


def is_whole(source: str | Path) -> bool:
    """Whether a source is a file that holds a whole network."""
    name = str(source)
    return any(name.endswith(framework.files) for framework in catalog.known() if framework.files)


def opened(source: Any) -> Whole | None:
    """The network that ``source`` is or holds; None where it is source code."""
    if isinstance(source, Whole):
        return source
    if not isinstance(source, str | Path):
        return _live(source)
    path = Path(source).expanduser()
    if (path / "saved_model.pb").is_file():
        message = f"{path.name} is a SavedModel: it holds compiled functions, not a graph of layers"
        raise failure("NF070", message, file=path)
    for framework in catalog.known():
        if path.name.endswith(framework.files) and framework.files:
            if not path.is_file():
                raise failure("NF001", f"there is no file {path}", file=path)
            return Whole(framework.name, framework.whole().of_file(path))
    return None


def _live(source: Any) -> Whole:
    for framework in catalog.known():
        if framework.files and framework.module in sys.modules and framework.whole().is_network(source):
            return Whole(framework.name, framework.whole().of_object(source))
    kind = type(source).__name__
    raise failure("NF070", f"an object of the class {kind} is no network whose graph can be read")

"""Keras networks without source: ``.keras`` and ``.h5`` files, and live models."""

from __future__ import annotations

import copy
import importlib
import json
import re
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np

from netferry.diagnostics import NetferryError, failure
from netferry.frameworks.keras import graph, graph_names, paths
from netferry.frameworks.keras.checkpoint import locate
from netferry.frameworks.keras.spelled import is_public
from netferry.graphs import emit
from netferry.weights.formats import Array
from netferry.weights.map import WeightMap
from netferry.weights.rearrange import Recipe
from netferry.writer import format_code

FRAMEWORK: Final = "keras"
"""What the code is written in."""
_WIDTH: Final = 100
_KNOWN: Final = ("keras", "builtins", "tensorflow")


def is_network(value: Any) -> bool:
    """Whether an object is a Keras model."""
    return isinstance(value, keras.Model)


def is_graph(value: Any) -> bool:
    """Whether an object is a Keras model whose layers and their connections are known."""
    return is_network(value) and (graph.is_graph(value) or (isinstance(value, keras.Sequential) and bool(value.inputs)))


def of_object(model: Any, name: str = "") -> WholeModel:
    """A live model; ``name`` is what it is called where it has no name of its own."""
    return WholeModel(model, model.name, name)


def of_file(path: Path) -> WholeModel:
    """The model that a file holds; raises NF060 and NF070 to NF072 for one that cannot be loaded without running code."""
    config = _config(path)
    _refuse_lambdas(config, path)
    try:
        model = keras.saving.load_model(path, own_classes(config, path), compile=False, safe_mode=True)
    except NetferryError:
        raise
    except Exception as error:  # Whatever the file makes of itself.
        raise _failed(path, error) from error
    return WholeModel(model, str(path), path.stem)


def _config(path: Path) -> Any:
    """The architecture that a file holds, as Keras writes it."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return json.loads(archive.read("config.json"))
        import h5py

        with h5py.File(path, "r") as file:
            text = file.attrs.get("model_config")
    except (OSError, KeyError, ValueError) as error:
        raise failure("NF060", f"{path.name} is no file that Keras has saved: {error}", file=path) from error
    if text is None:
        hint = "Give the network's source, and this file with --weights."
        raise failure("NF070", f"{path.name} holds weights alone, without the network", file=path, hint=hint)
    return json.loads(text)


def _refuse_lambdas(config: Any, path: Path) -> None:
    for found in _objects(config):
        if found.get("class_name") == "Lambda":
            name = found.get("config", {}).get("name", "lambda")
            message = f"the layer {name!r} (Lambda) holds a function, of which the file has only compiled code"
            raise failure("NF072", message, file=path)


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    if isinstance(config, dict):
        if "class_name" in config:
            yield config
        for value in config.values():
            yield from _objects(value)
    elif isinstance(config, list):
        for value in config:
            yield from _objects(value)


def _failed(path: Path, error: Exception) -> NetferryError:
    text = " ".join(str(error).split())
    named = re.search(r"(?:Could not locate class|Unknown (?:layer|object)):? '?(\w+)'?", text)
    if named:
        message = f"{path.name} holds an object of the class {named[1]}, which cannot be imported"
        return failure("NF071", message, file=path)
    return failure("NF060", f"{path.name} cannot be loaded: {text[:200]}", file=path)


def own_classes(config: Any, path: Path) -> dict[str, Any]:
    """The classes that a file's network needs beside Keras's, from modules that lie where netferry runs or beside the file."""
    folders = [str(Path.cwd()), str(path.absolute().parent)]
    found: dict[str, Any] = {}
    for described in _objects(config):
        module, name = described.get("module"), described["class_name"]
        if (
            not module
            or module.partition(".")[0] in _KNOWN
            or not PathFinder.find_spec(module.partition(".")[0], folders)
        ):
            continue
        before = list(sys.path)
        sys.path[:0] = folders
        try:
            found[described.get("registered_name") or name] = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise failure(
                "NF071", f"{path.name} holds an object of the class {module}.{name}: {error}", file=path
            ) from error
        finally:
            sys.path[:] = before
    return found


def _folders(model: Any) -> dict[str, Path]:
    """The top modules that define the classes of a model which Keras does not offer -> the folders that hold them."""
    kinds = {
        type(layer) for _, layer in paths.layers(model) if not graph.is_network(layer) and not is_public(type(layer))
    }
    files = {k.__module__: getattr(sys.modules.get(k.__module__), "__file__", None) for k in kinds}
    return {name.partition(".")[0]: Path(file).parents[name.count(".")] for name, file in files.items() if file}


class WholeModel:
    """A live model that code is written for."""

    def __init__(self, model: Any, label: str, name: str = "") -> None:
        self.folders = _folders(model)
        self.model = model
        self.label = label
        self.name = model.name if not graph.is_unnamed(model) or not name else name

    def source(self) -> tuple[str, str]:
        """Keras code that builds it, and the function that does."""
        reader = graph.Reader(self.label)
        network = reader.network(
            self.model, "network" if graph.is_unnamed(self.model) and self.name == self.model.name else self.name
        )
        text, entry = emit.source(network, graph.dialect(reader), ["keras", "layers", *reader.imports])
        return format_code(text, _WIDTH), entry

    def factory(self) -> Callable[[], Any]:
        """A function that builds it anew; its layers take their type from the surroundings."""
        config = _without_types(keras.saving.serialize_keras_object(self.model))
        own = {type(layer).__name__: type(layer) for _, layer in paths.layers(self.model)}
        own = {name: kind for name, kind in own.items() if not kind.__module__.startswith("keras.")}

        def build() -> Any:
            with keras.saving.custom_object_scope(own):
                made = keras.saving.deserialize_keras_object(copy.deepcopy(config))
            _mend(made)
            return made

        return build

    def own_names(self, weight_map: WeightMap, rebuilt: Any) -> WeightMap:
        """A map from the arrays of what the code builds as one from those of the model."""
        own = dict(zip(_layer_paths(rebuilt), _layer_paths(self.model), strict=True))

        def named(name: str) -> str:
            parts = name.split(".")
            for length in range(len(parts), 0, -1):
                if (found := own.get(".".join(parts[:length]))) is not None:
                    return ".".join([found, *parts[length:]])
            return name

        entries = [
            replace(e, recipe=Recipe(tuple((named(n) if n else n, s) for n, s in e.recipe.inputs), e.recipe.combine, e.recipe.steps))
            for e in weight_map.entries
        ]  # fmt: skip
        dropped = {named(name): why for name, why in weight_map.dropped.items()}
        file = locate(self.model)
        shapes = {named(name): shape for name, shape in weight_map.shapes.items()}
        return replace(
            weight_map, entries=tuple(entries), dropped=dropped, source_h5=dict(file.paths), source_graph=file.graph,
            shapes=shapes,
        )  # fmt: skip

    def weights(self) -> ModelArrays:
        """Its arrays."""
        return ModelArrays(self.model)


class ModelArrays:
    """The arrays of a live model, as a checkpoint."""

    def __init__(self, model: Any) -> None:
        self._variables = dict(paths.variables(model))

    def names(self) -> Iterable[str]:
        """The names of all arrays."""
        return self._variables

    def read(self, name: str) -> Array:
        """One array."""
        return np.array(keras.ops.convert_to_numpy(paths.tensor(self._variables[name])))


def _layer_paths(model: Any, prefix: str = "") -> list[str]:
    """Where each layer with arrays is, in an order that only the graph decides."""
    found: list[str] = []
    if isinstance(model, keras.Sequential):
        pairs = [(str(number), layer) for number, layer in enumerate(model.layers)]
    else:
        called = {id(op): op for op, _ in graph.nodes(model) if isinstance(op, keras.layers.Layer)}
        names = {id(layer): name for name, layer in graph_names.members(model).items()}
        pairs = [(names[identity], layer) for identity, layer in called.items() if identity in names]
    for name, layer in pairs:
        if isinstance(layer, keras.Model) and (isinstance(layer, keras.Sequential) or graph.is_graph(layer)):
            found += _layer_paths(layer, f"{prefix}{name}.")
        elif layer.variables:
            found.append(f"{prefix}{name}")
    return found


def _without_types(config: Any) -> Any:
    """A configuration whose layers take their type from the surroundings."""
    if isinstance(config, dict):
        kept = {k: _without_types(v) for k, v in config.items() if not (k == "dtype" and _is_usual(v))}
        return (
            {k: v for k, v in kept.items() if k not in ("compile_config", "build_config")}
            if "class_name" in kept
            else kept
        )
    return [_without_types(v) for v in config] if isinstance(config, list) else config


def _is_usual(dtype: Any) -> bool:
    """Whether it is the type that layers have where nothing is said."""
    name = dtype.get("config", {}).get("name") if isinstance(dtype, dict) else dtype
    return name in ("float32", "float64", "mixed_float16", "mixed_bfloat16")


def _mend(model: Any) -> None:
    """Indices come back from a configuration as lists, which mean something else than tuples."""
    for operation in getattr(model, "operations", []):
        if type(operation).__name__ == "GetItem":
            for node in operation._inbound_nodes:
                tensor, key = node.arguments.args
                node.arguments.args = (tensor, tuple(key) if isinstance(key, list) else key)
        elif isinstance(operation, keras.Model):
            _mend(operation)

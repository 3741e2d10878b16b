"""Where the variables of a Keras network are: paths of attributes and indices, ``layer1.0.conv1.kernel``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import keras

from netferry.frameworks.keras import graph_names

_OWN = """
    _layers _functional _metrics _loss_tracker _compile_metrics _compile_loss optimizer _optimizer _tracker
    _operations _operations_by_depth _nodes _nodes_by_depth _inbound_nodes _outbound_nodes _input_tensors
    _output_tensors _trainable_variables _non_trainable_variables _losses _loss_ids _seed_generators _parent_path
    _self_unconditional_checkpoint_dependencies _self_unconditional_dependency_names
    _self_unconditional_deferred_dependencies
"""
_INTERNAL = frozenset(_OWN.split())
"""Attributes in which Keras itself keeps track of layers and variables."""


def layers(network: Any) -> Iterator[tuple[str, Any]]:
    """The network and every layer under it, each once, with its path, in order of assignment."""
    yield from _layers(network, "", set())


def _layers(layer: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    if id(layer) in seen:
        return
    seen.add(id(layer))
    yield path, layer
    for name, member in _members(layer):
        if is_holder(member):
            yield from _layers(member, _joined(path, name), seen)


def is_holder(value: Any) -> bool:
    """Whether a value is a layer, or a ``tf.Module``, which holds layers and variables as well."""
    return isinstance(value, (keras.layers.Layer, *_plain("Module")))


def is_graph(value: Any) -> bool:
    """Whether a value is a network made of a graph, of a class of the user's or not."""
    return isinstance(value, keras.Model) and "Functional" in {k.__name__ for k in type(value).__mro__}


def is_variable(value: Any) -> bool:
    """Whether a value is a variable of Keras or TensorFlow."""
    return isinstance(value, (keras.Variable, *_plain("Variable")))


def _plain(kind: str) -> tuple[Any, ...]:
    """A class of TensorFlow, which need not be what Keras runs on."""
    tensorflow = sys.modules.get("tensorflow")
    return (getattr(tensorflow, kind),) if tensorflow is not None else ()


def tensor(variable: Any) -> Any:
    """What a variable's values are in: TensorFlow's own hold them themselves."""
    return variable.value if isinstance(variable, keras.Variable) else variable


def variables(network: Any) -> Iterator[tuple[str, Any]]:
    """Every variable under all its paths (a layer used under two names is walked once)."""
    known: set[int] = set()
    for path, layer in layers(network):
        for name, member in _members(layer):
            if is_variable(member) and not is_seed(member):
                known.add(id(member))
                yield _joined(path, name), member
    # What no attribute leads to (a helper object's layers) still counts, under the name that Keras gives it.
    for variable in getattr(network, "variables", ()):  # A function has none.
        if id(variable) not in known and not is_seed(variable):
            yield getattr(variable, "path", variable.name), variable


def is_seed(variable: Any) -> bool:
    """Whether it is the state of a random generator."""
    return str(variable.name) == "seed_generator_state"


def find(network: Any, path: str) -> Any:
    """The variable at ``path``; raises KeyError."""
    found = network
    for part in path.split("."):
        found = _step(found, part, path)
    if not is_variable(found):
        raise KeyError(path)
    return found


def _step(owner: Any, part: str, path: str) -> Any:
    if isinstance(owner, dict):
        return owner[int(part) if part not in owner and part.isdigit() else part]
    if part.isdigit() and isinstance(owner, list | tuple | keras.Sequential):
        members = owner.layers if isinstance(owner, keras.Sequential) else owner
        if int(part) < len(members):
            return members[int(part)]
    named = graph_names.members(owner) if isinstance(owner, keras.Model) else {}
    if (
        part in named and type(owner).__name__ == "Functional"
    ):  # Whose own attributes, ``output``, may have the name too.
        return named[part]
    for name in (part, f"_{part}"):
        if hasattr(owner, name):
            return getattr(owner, name)
    if part in named:
        return named[part]
    raise KeyError(path)


def _members(layer: Any) -> Iterator[tuple[str, Any]]:
    """What a layer holds, by attribute; containers are opened."""
    if isinstance(layer, keras.Sequential):
        yield from ((str(index), member) for index, member in enumerate(layer.layers))
    elif type(layer).__name__ == "Functional":
        yield from graph_names.members(layer).items()
    for name, member in list(vars(layer).items()):
        if name not in _INTERNAL:
            yield from _opened(_public(layer, name, member), member)
    if is_graph(layer) and type(layer).__name__ != "Functional":
        yield from graph_names.members(layer).items()


def _opened(name: str, member: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(member, list | tuple | dict):
        pairs = member.items() if isinstance(member, dict) else enumerate(member)
        for key, inner in pairs:
            yield from _opened(f"{name}.{key}", inner)
    else:
        yield name, member


def _public(layer: Any, name: str, member: Any) -> str:
    """The name without its underscore, where a property of that name gives the same object."""
    bare = name.lstrip("_")
    if bare != name and getattr(type(layer), bare, None) is not None and getattr(layer, bare, None) is member:
        return bare
    return name


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name

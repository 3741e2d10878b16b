"""What a Keras network is called with: what its inputs say, or how its file tries it out."""

from __future__ import annotations

from typing import Any, Final

import keras

from netferry.frameworks.keras.reading import conventions
from netferry.inputs import InputSpec
from netferry.observe.run import built
from netferry.project import Project

_ROOTS = (
    "keras",
    "tensorflow.keras",
    "tf_keras",
    "tf.keras",
    "keras.models",
    "tensorflow.keras.models",
    "keras.src.models",
    "keras.engine.training",
)
BASES: Final = (
    frozenset(
        [f"{root}.{name}" for root in _ROOTS for name in ("Model", "Sequential")]
        + [f"{root}.layers.Layer" for root in ("keras", "tensorflow.keras")]
    ),
    "keras.Model",
)
"""The classes that networks derive from, and what to call them."""

_BATCH: Final = 2
_OPEN_SIZES: Final = (32, 24, 28)
"""What stands for sizes that a network leaves open."""


def inputs(project: Project, entry: str, call: str) -> tuple[list[InputSpec], str]:
    """What the network's own inputs say; raises NF013 where it has none before it is called."""
    with built(project, conventions("keras"), entry, call) as network:
        tensors = _tensors(network)
        specs = [_spec(t, network, single=len(tensors) == 1) for t in tensors]
    if specs:
        return specs, "the network's inputs"
    node = next((n for n in project.main.tree.body if getattr(n, "name", "") == entry), None)
    raise project.main.error("NF013", node, f"nothing shows the shapes of what {entry} is called with")


def _tensors(network: Any) -> list[Any]:
    try:
        found = getattr(network, "inputs", None) or []
    except (ValueError, AttributeError):
        return []
    return list(found)


def _spec(tensor: Any, network: Any, *, single: bool) -> InputSpec:
    sizes = [_BATCH, *(n or _OPEN_SIZES[min(i, 2)] for i, n in enumerate(tensor.shape[1:]))]
    embeddings = [layer for layer in network._flatten_layers() if isinstance(layer, keras.layers.Embedding)]
    direct = [e for e in embeddings if any(t is tensor for n in e._inbound_nodes for t in n.input_tensors)]
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    if "int" not in dtype and not direct and not single:
        return InputSpec(shape=tuple(sizes), dtype=dtype)
    if embeddings or "int" in dtype:
        known = [e.input_dim for e in direct or embeddings]
        return InputSpec(shape=tuple(sizes), dtype="int32", high=min(known) if known else 2)
    return InputSpec(shape=tuple(sizes), dtype=dtype)

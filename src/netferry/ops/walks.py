"""Walks over a network's layers by name."""

from __future__ import annotations

from netferry.ops.core import OpDef, Spelling
from netferry.ops.registry import register
from netferry.ops.shared import keras_support

keras_support("named_layers", '''
def named_layers(held, name=""):
    """A layer and all layers below it, with the attributes and positions that lead to each."""
    if isinstance(held, keras.layers.Layer):
        yield name, held
        held = dict(enumerate(held.layers)) if isinstance(held, keras.Sequential) else vars(held)
    elif isinstance(held, (list, tuple)):
        held = dict(enumerate(held))
    if isinstance(held, dict):
        for key, member in held.items():
            if key != "_layers":  # Keras lists all of them there once more
                yield from named_layers(member, f"{name}.{key}" if name else str(key))
''')  # fmt: skip
_NNX = '[(".".join(map(str, path)), module) for path, module in flax.nnx.iter_modules({module})]'
register(
    OpDef(
        "named_modules",
        "module",
        "All layers of a tree, the root included, with the paths of attributes that lead to them.",
        layout="none",
        spellings={
            **{
                f: (Spelling("", template="named_layers({module})", support="named_layers"),)
                for f in ("tensorflow", "keras")
            },
            "torch": (Spelling("", template="{module}.named_modules()"),),
            "flax": (Spelling("", template=_NNX),),
        },
    )
)

"""Support code for both Keras targets from one text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from netferry.ops.core import Signature, Support
from netferry.ops.registry import register_support

_TENSORFLOW = (
    ("keras.ops.softmax", "tf.nn.softmax"),
    ("keras.random.dropout", "tf.nn.dropout"),
    ("keras.ops.arange", "tf.range"),
    ("keras.ops.all", "tf.reduce_all"),
    ("keras.ops.mean", "tf.reduce_mean"),
    ("keras.ops.sum", "tf.reduce_sum"),
    ("keras.ops.max", "tf.reduce_max"),
    ("keras.ops.concatenate", "tf.concat"),
    ("keras.ops.take", "tf.gather"),
    ("keras.ops.swapaxes", "tf.keras.ops.swapaxes"),
    ("keras.ops.conv_transpose", "tf.keras.ops.conv_transpose"),
    ("keras.ops.take_along_axis", "tf.keras.ops.take_along_axis"),
    ("keras.ops.log_softmax", "tf.nn.log_softmax"),
    ("keras.ops.log", "tf.math.log"),
    ("keras.ops.softplus", "tf.math.softplus"),
    ("keras.ops.clip", "tf.clip_by_value"),
    ("keras.ops.erfinv", "tf.math.erfinv"),
    ("keras.random.", "tf.keras.random."),
    ("keras.initializers.", "tf.keras.initializers."),
    ("keras.ops.", "tf."),
    ("keras.layers.", "tf.keras.layers."),
    ("keras.activations.", "tf.keras.activations."),
)
_TYPE_TEST = re.compile(r'keras\.backend\.standardize_dtype\((\w+)\.dtype\) == "(\w+)"')
"""What Keras calls in support texts are in TensorFlow, where their arguments agree; the first that fits applies."""


def _whole(name: str) -> str:
    """The pattern of a whole name (``max`` is not the beginning of ``maximum``), or of a prefix that ends in a dot."""
    return re.escape(name) + ("" if name.endswith(".") else r"\b")


def tensorflow_text(code: str) -> str:
    """Code written with ``keras.…`` names, with TensorFlow's instead."""
    table = dict(_TENSORFLOW)
    pattern = re.compile(r"(?<![\w.])(?:" + "|".join(map(_whole, table)) + ")")
    tensorflow = _TYPE_TEST.sub(r"\1.dtype == tf.\2", code)
    return pattern.sub(lambda match: table[match.group()], tensorflow)


def keras_support(
    name: str, code: str, requires: Sequence[str] = (), *, flax: str = "", flax_requires: Sequence[str] = ()
) -> Support:
    """Register a definition written with ``keras.…`` names for the targets ``keras`` and ``tensorflow``.

    ``flax`` is the text for Flax where it does not follow from that for Keras.
    """
    texts = {"tensorflow": tensorflow_text(code), "keras": code, **({"flax": flax} if flax else {})}
    return register_support(Support(name, texts, requires, {"flax": flax_requires}))


def layer_calling(name: str, function: str, doc: str, signature: str) -> Support:
    """Register a layer class that calls a support function with the arguments that it was made with.

    They are named one by one, because Keras then saves and loads the layer by itself.
    """
    options = ", ".join(f"{argument}={argument}" for argument in Signature.parse(signature).names)
    code = f'''
class {name}(keras.layers.Layer):
    """{doc}"""

    def __init__(self, {signature}, **kwargs):
        super().__init__(**kwargs)
        self.options = dict({options})

    def call(self, x):
        return {function}(x, **self.options)
'''
    return keras_support(name, code, requires=(function,))

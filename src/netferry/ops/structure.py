"""Ops about the structure of a network rather than its arithmetic: containers, parameters, buffers, module walks.

Readers produce them from a framework's conventions; writers turn them into the target's.
"""

from __future__ import annotations

from netferry.ops.core import OpDef, Spelling, Support
from netferry.ops.registry import register, register_support
from netferry.ops.shared import keras_support

_KERAS = ("tensorflow", "keras")


def _prefix(framework: str) -> str:
    return "tf.keras" if framework == "tensorflow" else "keras"


def _everywhere(template: str, torch: str, flax: str, *, layer: bool = False) -> dict[str, tuple[Spelling, ...]]:
    """One template for both Keras targets (``K`` stands for the Keras namespace), one for PyTorch, one for NNX."""
    texts = {f: template.replace("K.", _prefix(f) + ".") for f in _KERAS} | {"torch": torch, "flax": flax}
    return {f: (Spelling("", template=text, layer=layer),) for f, text in texts.items()}


def _carried(name: str, torch: str, flax: str) -> dict[str, tuple[Spelling, ...]]:
    """A function that generated Keras code carries, a template for PyTorch, and one for NNX."""
    carried = {f: (Spelling("", template=f"{name}({{module}})", support=name),) for f in _KERAS}
    return {**carried, "torch": (Spelling("", template=torch),), "flax": (Spelling("", template=flax),)}


register(OpDef(
    "module_list", "modules", "A list of layers that the network owns.", layout="none",
    spellings=_everywhere("{modules}", "torch.nn.ModuleList({modules})", "flax.nnx.List({modules})", layer=True),
))  # fmt: skip
register(OpDef(
    "module_dict", "modules", "A dictionary of layers that the network owns.", layout="none",
    spellings=_everywhere("{modules}", "torch.nn.ModuleDict({modules})", "flax.nnx.Dict({modules})", layer=True),
))  # fmt: skip
register(OpDef(
    "parameter", "x, *, trainable=True", "A tensor that the network owns and trains.", layout="elementwise",
    spellings={
        **_everywhere("K.Variable({x}, trainable={trainable})", "torch.nn.Parameter({x}, requires_grad={trainable})", "flax.nnx.Param({x})"),
        "torch": (
            Spelling("", template="torch.nn.Parameter({x})", when={"trainable": True}),
            Spelling("", template="torch.nn.Parameter({x}, requires_grad={trainable})"),
        ),
    },
))  # fmt: skip
register(OpDef(
    "buffer", "x", "A tensor that the network owns and does not train.", layout="elementwise",
    spellings=_everywhere("K.Variable({x}, trainable=False)", "torch.nn.Buffer({x})", "flax.nnx.Variable({x})"),
))  # fmt: skip
keras_support("children", '''
def children(layer):
    """The layers that a layer holds, in attributes, lists and dictionaries, each once."""
    held = keras.tree.flatten(list(vars(layer).values()))
    return list(dict.fromkeys(member for member in held if isinstance(member, keras.layers.Layer)))
''')  # fmt: skip
keras_support("all_layers", '''
def all_layers(layer):
    """A layer and all layers below it, each once."""
    found = [layer]
    for layer in found:
        held = keras.tree.flatten(list(vars(layer).values()))
        found += dict.fromkeys(new for new in held if isinstance(new, keras.layers.Layer) and new not in found)
    return found
''')  # fmt: skip
keras_support("named_children", '''
def named_children(layer):
    """The layers that a layer holds, by the names of its attributes, or by their positions in a `Sequential`."""
    if isinstance(layer, keras.Sequential):
        return {str(index): member for index, member in enumerate(layer.layers)}
    return {name: member for name, member in vars(layer).items() if isinstance(member, keras.layers.Layer)}
''')  # fmt: skip
register(OpDef(
    "modules", "module", "All layers of a tree, the root included.", layout="none",
    spellings=_carried("all_layers", "{module}.modules()", "[module for _, module in flax.nnx.iter_modules({module})]"),
))  # fmt: skip
register(OpDef(
    "children", "module", "The layers directly below.", layout="none",
    spellings=_carried("children", "{module}.children()", "[child for _, child in flax.nnx.iter_children({module})]"),
))  # fmt: skip
register(OpDef(
    "named_children", "module", "The layers directly below, by name.", layout="none",
    spellings=_carried("named_children", "dict({module}.named_children())", "dict(flax.nnx.iter_children({module}))"),
))  # fmt: skip
register(OpDef("tie", "x, to", "Lets two layers share a parameter.", layout="none"))
register(OpDef(
    "tied_linear", "layer, *, use_bias=True", "Applies the matrix of another layer, and a bias of its own.",
    layout="none",
    spellings={
        **{
            f: [Spelling("TiedDense", "layer, use_bias=True", support="TiedDense", layer=True, read=False)]
            for f in _KERAS
        },
        "flax": [Spelling("TiedLinear", "layer, use_bias=True", support="TiedLinear", layer=True, read=False)],
    },
))  # fmt: skip
register_support(Support("TiedLinear", {"flax": '''
class TiedLinear(flax.nnx.Module):
    """A dense layer that shares the matrix of another layer: the transposed one of an embedding."""

    def __init__(self, layer, use_bias=True):
        self.layer = layer
        outputs = layer.num_embeddings if isinstance(layer, flax.nnx.Embed) else layer.out_features
        self.bias = flax.nnx.Param(jax.numpy.zeros(outputs)) if use_bias else None

    def __call__(self, x):
        x = self.layer.attend(x) if isinstance(self.layer, flax.nnx.Embed) else x @ self.layer.kernel[...]
        return x if self.bias is None else x + self.bias[...]
'''}))  # fmt: skip
keras_support("TiedDense", '''
class TiedDense(keras.layers.Layer):
    """A dense layer that shares the matrix of another layer: the transposed one of an embedding."""

    def __init__(self, layer, use_bias=True, **kwargs):
        super().__init__(**kwargs)
        self.layer = layer
        self.use_bias = use_bias
        self.bias_initializer = "zeros"

    def build(self, input_shape):
        if not self.layer.built:
            self.layer.build(input_shape)
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=self.kernel.shape[-1:], initializer=self.bias_initializer)

    @property
    def kernel(self):
        if isinstance(self.layer, keras.layers.Embedding):
            return keras.ops.transpose(self.layer.embeddings)
        return self.layer.kernel

    def call(self, inputs):
        outputs = keras.ops.matmul(inputs, self.kernel)
        return outputs + self.bias if self.use_bias else outputs
''')  # fmt: skip
register(OpDef(
    "sequence_of", "module", "The members of a sequential container, as a list.", layout="none",
    spellings=_everywhere("{module}.layers", "{module}", "{module}.layers"),
))  # fmt: skip
register(OpDef("is_training", "", "Whether the network is being trained.", layout="none"))
register(OpDef(
    "append_to_sequence", "module, item", "Adds a layer at the end of a sequential container.", layout="none",
    spellings=_everywhere("{module}.add({item})", "{module}.append({item})", "{module}.layers.append({item})"),
))  # fmt: skip
register(OpDef(
    "set_trainable", "module, *, value", "Says whether the parameters of a tree, or a single one, are trained.",
    layout="none", spellings={"torch": (Spelling("", template="{module}.requires_grad_({value})"),)},
))  # fmt: skip
register(OpDef(
    "symbolic_input", "", "What a network that is described as a graph is called with.", layout="none",
))  # fmt: skip
register(OpDef(
    "functional_model", "inputs, outputs", "The network between symbolic inputs and outputs.", layout="none",
))  # fmt: skip
register(OpDef(
    "input_size", "*, axis", "The size of an axis of what a layer is first called with.", layout="none",
))  # fmt: skip
register(OpDef(
    "parameters", "module", "The trainable tensors of a tree.", layout="none",
    spellings=_everywhere("{module}.trainable_variables", "{module}.parameters()", "jax.tree.leaves(flax.nnx.state({module}, flax.nnx.Param))"),
))  # fmt: skip


_TORCH_UPDATE = '''
def index_update(x, index, value):
    """A copy of `x` in which `x[index]` is `value`."""
    x = x.clone()
    x[index] = value
    return x
'''
_UPDATE = '''
def index_update(x, index, value):
    """A copy of `x` in which `x[index]` is `value`."""
    places = keras.ops.reshape(keras.ops.arange(math.prod(x.shape)), x.shape)[index]
    values = keras.ops.broadcast_to(keras.ops.cast(value, x.dtype), places.shape)
    flat = keras.ops.scatter_update(
        keras.ops.reshape(x, (-1,)), keras.ops.reshape(places, (-1, 1)), keras.ops.reshape(values, (-1,))
    )
    return keras.ops.reshape(flat, x.shape)
'''
register_support(Support("index_update", {
    "torch": _TORCH_UPDATE,
    "keras": _UPDATE,
    "tensorflow": _UPDATE.replace("keras.ops.scatter_update", "tf.tensor_scatter_nd_update").replace("keras.ops.arange", "tf.range").replace("keras.ops.", "tf."),
}))  # fmt: skip
register(OpDef(
    "index_update", "x, index, value", "A copy of a tensor with some entries replaced.", layout="setitem",
    spellings={f: [Spelling("", template="index_update({x}, {index}, {value})", support="index_update", read=False)] for f in (*_KERAS, "torch")} | {"flax": [Spelling("jax.Array.at.set", "x, index, value", template="{x}.at[{index}].set({value})")]},
))  # fmt: skip
keras_support("positions", '''
def positions(x):
    """For every entry of `x`, where it stands among all."""
    return keras.ops.reshape(keras.ops.arange(math.prod(x.shape)), x.shape)
''')  # fmt: skip
_PUT = '''
def put(x, places, value):
    """A copy of `x` with `value` where `places` says, which counts through all entries."""
    values = keras.ops.broadcast_to(keras.ops.cast(value, x.dtype), places.shape)
    flat = keras.ops.scatter_update(
        keras.ops.reshape(x, (-1,)), keras.ops.reshape(places, (-1, 1)), keras.ops.reshape(values, (-1,))
    )
    return keras.ops.reshape(flat, x.shape)
'''
register_support(Support("put", {
    "keras": _PUT,
    "tensorflow": _PUT.replace("keras.ops.scatter_update", "tf.tensor_scatter_nd_update").replace("keras.ops.", "tf."),
}))  # fmt: skip
register(OpDef(
    "positions", "x", "For every entry of a tensor, its number among all.", layout="none",
    spellings={f: [Spelling("", template="positions({x})", support="positions", read=False)] for f in _KERAS},
))  # fmt: skip
register(OpDef(
    "put", "x, places, value", "A copy of a tensor with some entries replaced, given by their numbers.", layout="none",
    spellings={f: [Spelling("", template="put({x}, {places}, {value})", support="put", read=False)] for f in _KERAS},
))  # fmt: skip
register(OpDef(
    "mask_update", "x, index, value", "A copy of a tensor with the entries replaced where a mask holds.", layout="elementwise",
    spellings={"tensorflow": [Spelling("", template="tf.where({index}, tf.cast({value}, {x}.dtype), {x})", read=False)],
               "keras": [Spelling("", template="keras.ops.where({index}, {value}, {x})", read=False)],
               "flax": [Spelling("", template="jax.numpy.where({index}, {value}, {x})", read=False)],
               "torch": [Spelling("", template="torch.where({index}, {value}, {x})", read=False)]},
))  # fmt: skip

"""The recurrent layers that generated Flax code carries: one step of each kind, and stacks that scan over a sequence.

Gates are in PyTorch's order; where a kind adds two biases, one of them stands for both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Template
from typing import Any, Final

_CELL = Template('''
class $cls(flax.nnx.Module):
    """One step of $article $name: takes the inputs and the $states_doc, returns the new $states_doc."""

    def __init__(self, input_size, hidden_size, bias=True, $parameter*, rngs):
        self.hidden_size = hidden_size$attribute
        self.dense_i = flax.nnx.Linear(input_size, $width, use_bias=$input_bias, rngs=rngs)
        self.dense_h = flax.nnx.Linear(hidden_size, $width, use_bias=bias, rngs=rngs)

    def __call__(self, x, state=None):
        if state is None:
            state = $zeros
$step
''')
_STACK = Template('''
class Stacked$name(flax.nnx.Module):
    """Stacked, optionally bidirectional $name.

    Returns the output sequence and the last $states_doc of shape (layers * directions, batch, hidden_size).
    """

    def __init__(
        self, input_size, hidden_size, num_layers=1, ${parameter}bias=True, batch_first=False, dropout=0.0,
        bidirectional=False, *, rngs
    ):
        self.hidden_size = hidden_size
        self.batch_first = batch_first
        self.directions = 2 if bidirectional else 1
        sizes = [input_size] + [hidden_size * self.directions] * (num_layers - 1)
        self.cells = flax.nnx.List(
            [$cls(size, hidden_size, bias, ${argument}rngs=rngs) for size in sizes for _ in range(self.directions)]
        )
        self.dropout = flax.nnx.Dropout(dropout, rngs=rngs)

    def __call__(self, x, state=None):
        x = x.swapaxes(0, 1) if self.batch_first else x
        if state is None:
            zeros = jax.numpy.zeros((len(self.cells), x.shape[1], self.hidden_size), x.dtype)
            state = $zeros
        last = []
        for start in range(0, len(self.cells), self.directions):
            x = self.dropout(x) if start > 0 else x
            outputs = []
            for index in range(start, start + self.directions):
                final, output = self.scan(self.cells[index], $initial, x, reverse=index > start)
                last.append(final)
                outputs.append(output)
            x = jax.numpy.concatenate(outputs, axis=-1)
        x = x.swapaxes(0, 1) if self.batch_first else x
        return x, $result

    def scan(self, cell, state, x, reverse):
        def step(state, x):
            state = cell(x, state)
            return state, $output

        return jax.lax.scan(step, state, x, reverse=reverse)
''')
_STEPS: Final[Mapping[str, str]] = {
    "LSTM": """        h, c = state
        i, f, g, o = jax.numpy.split(self.dense_i(x) + self.dense_h(h), 4, axis=-1)
        c = flax.nnx.sigmoid(f) * c + flax.nnx.sigmoid(i) * jax.numpy.tanh(g)
        return flax.nnx.sigmoid(o) * jax.numpy.tanh(c), c""",
    "GRU": """        xr, xz, xn = jax.numpy.split(self.dense_i(x), 3, axis=-1)
        hr, hz, hn = jax.numpy.split(self.dense_h(state), 3, axis=-1)
        z = flax.nnx.sigmoid(xz + hz)
        n = jax.numpy.tanh(xn + flax.nnx.sigmoid(xr + hr) * hn)
        return (1 - z) * n + z * state""",
    "RNN": """        x = self.dense_i(x) + self.dense_h(state)
        return flax.nnx.relu(x) if self.nonlinearity == "relu" else jax.numpy.tanh(x)""",
}


@dataclass(frozen=True)
class FlaxTexts:
    """The definitions of one kind of recurrent layer."""

    cell: str
    stack: str


def texts(name: str, *, gates: int, several: bool, merged_bias: bool, nonlinear: bool) -> FlaxTexts:
    """The cell and the stack; ``several`` states make a pair."""
    words = {
        "name": name,
        "cls": f"{name}Cell",
        "article": "a" if name == "GRU" else "an",
        "states_doc": "states (h, c)" if several else "state",
        "width": f"{gates} * hidden_size" if gates > 1 else "hidden_size",
        "input_bias": "False" if merged_bias else "bias",
        "parameter": 'nonlinearity="tanh", ' if nonlinear else "",
        "step": _STEPS[name],
    }
    one = "jax.numpy.zeros((x.shape[0], self.hidden_size), x.dtype)"
    cell = _CELL.substitute(
        words,
        attribute="\n        self.nonlinearity = nonlinearity" if nonlinear else "",
        zeros=f"({one},) * 2" if several else one,
    )
    stack = _STACK.substitute(
        {**words, "states_doc": "states (h, c), each" if several else "state"},
        argument="nonlinearity, " if nonlinear else "",
        zeros="(zeros, zeros)" if several else "zeros",
        initial="(state[0][index], state[1][index])" if several else "state[index]",
        result="tuple(jax.numpy.stack(states) for states in zip(*last))" if several else "jax.numpy.stack(last)",
        output="state[0]" if several else "state",
    )
    return FlaxTexts(cell, stack)


def cell_params(gates: str, merged_bias: bool, suffix: str = "", bias: bool = True, path: str = "") -> dict[str, str]:
    """Where a cell holds the canonical weights with that suffix."""
    columns = f"(g:{gates} H)" if len(gates) > 1 else "H"
    made = {
        f"{path}dense_i.kernel": f"weight_ih{suffix}: I {columns}",
        f"{path}dense_h.kernel": f"weight_hh{suffix}: R {columns}",
    }
    if not bias:
        return made
    if merged_bias:
        return made | {f"{path}dense_h.bias": f"bias_ih{suffix} + bias_hh{suffix}: {columns}"}
    return made | {f"{path}dense_{side}.bias": f"bias_{side}h{suffix}: {columns}" for side in "ih"}


def paths(attributes: Mapping[str, Any]) -> list[str]:
    """The path of each layer's and direction's cell, in PyTorch's order."""
    directions = 2 if attributes["bidirectional"] else 1
    return [f"cells.{index}." for index in range(attributes["num_layers"] * directions)]

"""What verification and weight transfer ask of a framework."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

import numpy as np

from netferry.diagnostics import failure
from netferry.weights.map import TargetFile

Array = np.ndarray[Any, Any]
Precision = Literal["float32", "float64"]
Arguments = tuple[tuple[Any, ...], Mapping[str, Any]]
"""Positional and keyword arguments of a call, nested NumPy arrays and plain values."""


NORMAL: Final = 0.5
UNIFORM: Final = 0.3
"""What stands for a random number of a standard distribution where randomness is fixed."""


@dataclass(frozen=True)
class Variable:
    """One array of a network's state, without its values."""

    path: str
    shape: tuple[int, ...]
    dtype: str
    trainable: bool
    kind: Literal["parameter", "buffer"]

    @property
    def floating(self) -> bool:
        """Whether it holds real numbers."""
        return "float" in self.dtype


@dataclass(frozen=True)
class State:
    """Every array of a network once, in order; ``aliases`` gives the further paths of shared ones."""

    variables: Mapping[str, Variable]
    aliases: Mapping[str, str] = field(default_factory=dict)

    def canonical(self, path: str) -> str:
        """The path under which a shared array is listed."""
        return self.aliases.get(path, path)


@dataclass(frozen=True)
class Call:
    """One call of a submodule: its path, its class, and what went in and came out (nested NumPy)."""

    path: str
    kind: str
    inputs: Any
    outputs: Any


@dataclass(frozen=True)
class VarianceUpdate:
    """How one training step changed a running variance: the share of the old value kept, and the elements counted."""

    kept: float
    count: int


class Refused(Exception):
    """What a framework does not do with data of this size, whatever the code says."""


class Runtime(Protocol):
    """A framework that can build networks and run them."""

    name: str
    variance_ddof: int
    """What is subtracted from the element count in the batch variance that updates running statistics."""

    def prepare(self, dtype: Precision) -> AbstractContextManager[None]:
        """Make ``dtype`` the default type of new parameters and constants, as long as the context lasts."""

    def fixed_randomness(self) -> AbstractContextManager[None]:
        """Let every random number be the same one while networks run: a network can then be compared all the same."""

    def seed(self, seed: int) -> None:
        """Make what follows repeatable."""

    def build(self, factory: Callable[[], Any], dtype: Precision) -> Any:
        """The network, with all its floating state in ``dtype``."""

    def tensors(self, value: Any) -> Any:
        """Nested NumPy arrays as tensors; floating ones get the default type."""

    def arrays(self, value: Any) -> Any:
        """Nested tensors as NumPy arrays."""

    def state(self, network: Any) -> State:
        """What the network holds (call it once before, where it builds lazily)."""

    def resolve(self, network: Any, path: str) -> str:
        """The path under which :meth:`state` lists the variable that ``path`` leads to; raises KeyError."""

    def read(self, network: Any, path: str) -> Array:
        """The values of one variable."""

    def assign(self, network: Any, path: str, array: Array) -> None:
        """Set the values of one variable; raises ValueError where the shape differs."""

    def fan_in(self, shape: Sequence[int]) -> int:
        """How many inputs one output of a weight of this shape sums over."""

    def run(self, network: Any, arguments: Arguments, training: bool) -> Any:
        """The outputs (nested NumPy); in training mode dropout is off."""

    def gradients(
        self, network: Any, arguments: Arguments, cotangents: Sequence[Array | None], training: bool
    ) -> dict[str, Array]:
        """The gradients of sum(output * cotangent) by every trainable parameter; zeros where there is none."""

    def disable_dropout(self, network: Any) -> None:
        """Set every dropout rate of the network to zero."""

    def settle(self, network: Any, arguments: Arguments, random: np.random.Generator) -> None:
        """Bring running statistics near those that the data have where they are used."""

    def variance_updates(self, network: Any, arguments: Arguments) -> dict[str, VarianceUpdate]:
        """How a training step changes each running variance (which it does)."""

    def weights_file(self, network: Any) -> TargetFile | None:
        """Where the framework's own weights file keeps each array; None where the file uses the same names."""

    def narrows(self, network: Any, arguments: Arguments) -> bool:
        """Whether it computes partly in fewer bits than float64, as far as that can be seen."""

    def compilation(self, network: Any) -> list[str]:
        """What a user must know of how the calls made so far were compiled, where the framework compiles networks."""

    def submodule_calls(self, network: Any, arguments: Arguments) -> list[Call]:
        """The calls of all submodules in eval mode, in the order in which they return."""


_RUNTIMES: Final[Mapping[str, tuple[str, str]]] = {
    "torch": ("torch.runtime", "TorchRuntime"),
    "tensorflow": ("keras.runtime", "KerasRuntime"),
    "keras": ("keras.runtime", "KerasRuntime"),
    "flax": ("flax.runtime", "FlaxRuntime"),
}


def runtime(framework: str, *, reading: bool = False) -> Runtime:
    """The runtime of a framework, which it imports; ``reading`` tells that it is to run the source's code."""
    if framework not in _RUNTIMES:
        raise failure("NF064", f"no framework is called {framework!r}; known are {', '.join(_RUNTIMES)}")
    module, name = _RUNTIMES[framework]
    found: Runtime = getattr(importlib.import_module(f"{__package__}.{module}"), name)(framework, reading=reading)
    return found


def check_shape(path: str, expected: Sequence[int], array: Array) -> None:
    """Raise ValueError unless ``array`` has the shape of the variable at ``path``."""
    if tuple(expected) != tuple(array.shape):
        raise ValueError(f"{path} has shape {tuple(expected)}, the array given {tuple(array.shape)}")


def paired(outputs: Sequence[Any], cotangents: Sequence[Array | None]) -> list[tuple[Any, Array]]:
    """Each output with its cotangent, those without left out; raises ValueError when their numbers differ."""
    if len(outputs) != len(cotangents):
        raise ValueError(f"{len(outputs)} outputs, {len(cotangents)} cotangents")
    return [(o, c) for o, c in zip(outputs, cotangents, strict=True) if c is not None]


def dropout_rates(module: Any, attributes: Mapping[str, Any]) -> list[str]:
    """The names among a module's attributes that hold a dropout rate."""
    stochastic = any(word in type(module).__name__.lower() for word in ("drop", "stochastic"))
    names = [n for n in attributes if "drop" in n.lower() or (stochastic and n in ("p", "rate", "prob"))]
    return [n for n in names if isinstance(attributes[n], float) and 0 < attributes[n] <= 1]

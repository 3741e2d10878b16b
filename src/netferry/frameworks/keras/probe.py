"""What the observer must know about Keras and TensorFlow: tensors, callables, layers, and how to run them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from netferry.frameworks.keras import flags, older, paths
from netferry.frameworks.keras.linking import link, linked
from netferry.frameworks.keras.patching import replaced
from netferry.frameworks.keras.vocabulary import callable_path, class_path, layer_of_cell
from netferry.inputs import InputSpec, materialise

if TYPE_CHECKING:
    from netferry.observe.recorder import Recorder

_CONTAINERS = ("keras.Sequential", "keras.Functional", "keras.Model", "keras.layers.Layer", "keras.layers.Lambda")
_AROUND = ("keras.layers.TimeDistributed",)
"""Stock layers that are layers around others, which are seen too."""
_TENSORS = (tf.Tensor, keras.KerasTensor, tf.Variable, keras.Variable)
_CALLED = -2
"""The node of calls that no source says."""
_OPEN = (2, 7, 11, 13, 17)
"""What stands for a size that a symbolic tensor leaves open, by axis: sizes that nothing else has."""


class KerasProbe:
    """The recorder's view of Keras and TensorFlow."""

    name = "keras"

    def __init__(self) -> None:
        self._training = False
        self.masked: dict[str, None] = {}
        """The layers that a mask of Keras's reached which changes what they compute, by class."""

    def is_tensor(self, value: Any) -> bool:
        """Whether ``value`` is a tensor, symbolic ones and variables included."""
        return isinstance(value, _TENSORS)

    def describe(self, value: Any) -> tuple[tuple[int, ...], str]:
        """Shape and canonical dtype."""
        shape = value.shape.as_list() if hasattr(value.shape, "as_list") else value.shape
        sizes = tuple(_OPEN[min(i, len(_OPEN) - 1)] if n is None else int(n) for i, n in enumerate(shape))
        return sizes, keras.backend.standardize_dtype(value.dtype)

    def path(self, function: Any) -> str | None:
        """The public path of a callable of Keras or TensorFlow."""
        return callable_path(function)

    def tensor_path(self, attribute: str) -> str:
        """The path of a tensor attribute or method."""
        return f"tf.Tensor.{attribute}"

    def inherited(self, function: Any) -> None:
        """What ``super().call`` computes is read by its name."""

    def layer_path(self, instance: Any) -> str | None:
        """The class path of a stock layer instance (or of the stock class whose call a subclass inherits)."""
        if not isinstance(instance, keras.layers.Layer):
            return None
        kind = next((k for k in type(instance).__mro__ if "call" in k.__dict__), None)
        if kind is None or class_path(kind) is None:
            return None
        if isinstance(instance, keras.layers.Activation):
            softmax = instance.activation is keras.activations.softmax
            return "keras.layers.Softmax" if softmax else "keras.layers.ReLU"
        if (known := layer_of_cell(instance)) is not None:
            return known
        found = next(path for k in type(instance).__mro__ if (path := class_path(k)) is not None)
        return None if found in ("keras.Model", "keras.layers.Layer") else found

    def abstract(self, *, real: bool) -> AbstractContextManager[None]:
        """Keras runs with real numbers, small ones; layers have the names that they have in every run."""
        keras.src.utils.naming.reset_uids()
        return older.accepted()

    @contextmanager
    def inside_containers(self, recorder: Recorder) -> Iterator[None]:
        """Report layers that containers call, and none that stock layers call themselves."""
        original = keras.layers.Layer.__call__
        inside: list[Any] = []
        probe = self

        def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
            if not inside:
                kwargs = probe._flags(layer) | kwargs
            path = probe.layer_path(layer)
            stock = path is not None and path not in _CONTAINERS
            hidden = any(inside)
            if path not in _CONTAINERS and _is_masked(layer, [args, kwargs]):
                probe.masked[type(layer).__name__] = None
            inside.append(stock and path not in _AROUND)
            was, recorder.active = recorder.active, recorder.active and not inside[-1] and not hidden
            # A container calls it: what it makes now is made within this call all the same.
            calling = not stock and not recorder.awaiting(layer) and _makes_parts(layer)
            try:
                if calling:
                    recorder.callee(_CALLED, layer)
                with linked(recorder, layer, (args, kwargs), own=not stock) as results:
                    output = original(layer, *args, **kwargs)
                link(recorder, results, output)
            finally:
                if calling:
                    recorder.result(_CALLED, None)
                inside.pop()
                recorder.active = was
            if path in _AROUND and not hidden and recorder.active:
                _step(recorder, probe.layer_path(layer.layer), layer.layer, args[0], output)
            if stock and not hidden and recorder.active and not recorder.awaiting(layer):
                given = {k: v for k, v in kwargs.items() if k not in ("training", "mask")}
                recorder.event(None, str(path), args, given, output, instance=layer)
            return output

        build = keras.Sequential.build

        @functools.wraps(build)  # Keras reads the names of its parameters.
        def silently(layer: Any, *args: Any, **kwargs: Any) -> Any:
            # What a Sequential makes of itself on symbolic tensors is repeated when it is called; what layers make is not.
            if any(map(_makes_parts, layer.layers)):
                return None
            was, recorder.active = recorder.active, False
            try:
                return build(layer, *args, **kwargs)
            finally:
                recorder.active = was

        with (
            replaced(keras.layers.Layer, "__call__", call),
            replaced(keras.Sequential, "build", silently),
            replaced(keras.src.models.functional.Functional, "compute_output_spec", _through_layers),
        ):
            yield

    def _flags(self, layer: Any) -> dict[str, bool]:
        """The training flag, where a network must or should be given it."""
        found = flags.flag_of(layer)
        if found is None or not (self._training or found.default is found.empty):
            return {}
        return {found.name: self._training}

    def arguments(self, specs: Sequence[InputSpec]) -> tuple[list[Any], dict[str, Any]]:
        """The network's arguments as tensors."""
        random = np.random.default_rng(0)
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for spec in specs:
            value = _tensors(materialise(spec, random, self.evaluate))
            if spec.name:
                kwargs[spec.name] = value
            else:
                args.append(value)
        return args, kwargs

    def evaluate(self, text: str) -> Any:
        """An input given as an expression, as NumPy arrays."""
        value = eval(text, {"tf": tf, "keras": keras, "np": np})  # noqa: S307 - the user's own input expression
        return np.asarray(value) if isinstance(value, _TENSORS) else value

    def defining_modules(self, network: Any) -> set[str]:
        """The Python modules that define the classes of a network's parts."""
        return {k.__module__ for _, layer in paths.layers(network) for k in type(layer).__mro__}

    def seen(self, network: Any) -> tuple[Any, Any, Any] | None:
        """The symbolic tensors that a functional network was built from and for, and those of the networks in it."""
        if not paths.is_graph(network):
            return None
        inner = [
            t
            for _, layer in paths.layers(network)
            if layer is not network and paths.is_graph(layer)
            for t in layer.inputs
        ]
        return network.inputs, network._outputs_struct, inner

    def array(self, value: Any) -> Any:
        """Tensors stand for themselves."""
        return value

    def shaped(self, run: Callable[[], None]) -> None:
        """Shapes need no function around what is computed."""
        run()

    def call(self, network: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Call a network."""
        return network(*args, **kwargs)

    def set_training(self, network: Any, training: bool) -> None:
        """Switch between training and inference."""
        self._training = training

    def initial(self, namespace: dict[str, Any], prelude: str) -> None:
        """Run the prelude."""
        if prelude:
            exec(prelude, namespace)  # noqa: S102 - given by the user beside the call


def _is_masked(layer: Any, given: Any) -> bool:
    """Whether a mask comes along with what a layer is called with, and the layer looks at it."""
    tensors = [t for t in keras.tree.flatten(given) if isinstance(t, _TENSORS)]
    if not any(keras.src.backend.get_keras_mask(t) is not None for t in tensors):
        return False
    names = inspect.signature(layer.call).parameters
    return "mask" in names or "query_mask" in names


def _makes_parts(layer: Any) -> bool:
    """Whether a layer of the user's has variables or layers to make when it is first called."""
    return not layer.built and not flags.is_stock(next(k for k in type(layer).__mro__ if "build" in vars(k)))


def _through_layers(network: Any, inputs: Any, training: Any = None, mask: Any = None, **kwargs: Any) -> Any:
    """What a network inside another gives, by calling its layers, which then are seen; Keras looks only at shapes."""
    return network._run_through_graph(inputs)


def _step(recorder: Recorder, path: str | None, layer: Any, given: Any, output: Any) -> None:
    """One step of a layer that is applied at each of a sequence: on symbolic tensors, Keras only looks at shapes."""
    if path is not None and path not in _CONTAINERS:
        one, other = (keras.KerasTensor((t.shape[0], *t.shape[2:]), t.dtype) for t in (given, output))
        recorder.event(None, path, (one,), {}, other, instance=layer)


def _tensors(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return tf.convert_to_tensor(value)
    if isinstance(value, list | tuple):
        return type(value)(_tensors(v) for v in value)
    if isinstance(value, dict):
        return {k: _tensors(v) for k, v in value.items()}
    return value

"""What the observer must know about PyTorch: tensors, callables, layers, and how to run without real data."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from netferry.frameworks.torch.names import callable_path, class_path
from netferry.frameworks.torch.pretrained import without_checkpoints
from netferry.inputs import InputSpec, materialise

if TYPE_CHECKING:
    from netferry.observe.recorder import Recorder

os.environ.setdefault("PYTORCH_JIT", "0")  # scripted functions keep no Python that could be observed

import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensor, FakeTensorMode
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_any, tree_iter

_CALLING = ("torch.nn.Module", "torch.nn.Sequential")
"""Classes whose own call is that of others, which report themselves."""
_REAL_LIMIT = 1 << 16
"""Elements up to which a tensor made from nothing stays real: configuration tables yes, weights no."""


class TorchProbe:
    """The recorder's view of PyTorch."""

    name = "torch"

    def is_tensor(self, value: Any) -> bool:
        """Whether ``value`` is a tensor (parameters included)."""
        return isinstance(value, torch.Tensor)

    def describe(self, value: Any) -> tuple[tuple[int, ...], str]:
        """Shape and canonical dtype."""
        if is_lazy(value):  # A parameter that takes its shape from the first input has none yet.
            return (), str(value.dtype).removeprefix("torch.")
        return tuple(int(n) for n in value.shape), str(value.dtype).removeprefix("torch.")

    def path(self, function: Any) -> str | None:
        """The public path of a callable of PyTorch (or of a library netferry knows the meaning of)."""
        return callable_path(function)

    def layer_path(self, instance: Any) -> str | None:
        """The class path of a stock layer instance (or of the stock class whose forward a subclass inherits)."""
        if not isinstance(instance, torch.nn.Module):
            return None
        kind = next((k for k in type(instance).__mro__ if "forward" in k.__dict__), None)
        if kind is None or (kind.__module__ == "torch.nn.modules.container" and kind is not type(instance)):
            return None
        if class_path(kind) is None:
            return None
        return next(path for k in type(instance).__mro__ if (path := class_path(k)) is not None)

    def inherited(self, function: Any) -> tuple[str, Any] | None:
        """``super().forward`` of a class that extends a stock layer."""
        receiver, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
        if not isinstance(receiver, torch.nn.Module) or name != "forward" or class_path(type(receiver)) is not None:
            return None
        path = (callable_path(function) or "").removesuffix(".forward")
        return (path, receiver) if path and path not in _CALLING else None

    def abstract(self, *, real: bool) -> AbstractContextManager[None]:
        """Run in shapes only (``real``: with numbers after all)."""
        return abstract(real=real)

    def inside_containers(self, recorder: Recorder) -> AbstractContextManager[None]:
        """Report layers that containers call."""
        return calls_inside_containers(recorder)

    def arguments(self, specs: Sequence[InputSpec]) -> tuple[list[Any], dict[str, Any]]:
        """The network's arguments as tensors."""
        random = np.random.default_rng(0)
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for spec in specs:
            value = _tensors(materialise(spec, random, evaluate))
            if spec.name:
                kwargs[spec.name] = value
            else:
                args.append(value)
        return args, kwargs

    def evaluate(self, text: str) -> Any:
        """An input given as an expression, as NumPy arrays."""
        value = evaluate(text)
        return value.numpy() if isinstance(value, torch.Tensor) and not value.is_sparse else value

    def defining_modules(self, network: Any) -> set[str]:
        """The Python modules that define the classes of a network's parts."""
        return {k.__module__ for m in network.modules() for k in type(m).__mro__}

    def seen(self, network: Any) -> None:
        """Networks are called after they are built."""

    def tensor_path(self, attribute: str) -> str:
        """The path of a tensor attribute or method."""
        return f"torch.Tensor.{attribute}"

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
        for module in network.modules():  # not network.train(): its name may be taken by a training loop
            module.training = training

    def initial(self, namespace: dict[str, Any], prelude: str) -> None:
        """Run the prelude."""
        if prelude:
            exec(prelude, namespace)  # noqa: S102 - given by the user beside the call


class _Abstract(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Computes small things for real and large things only in shape.

    Tables, schedules and drop rates are needed as numbers (``torch.linspace(0, rate, depth).tolist()``), weights are not; so
    memory and time do not grow with the size of the network.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.fake = FakeTensorMode(allow_non_fake_inputs=True)
        self.limit = limit

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if tree_any(lambda a: isinstance(a, FakeTensor), (args, kwargs)):
            return self._faked(func, args, kwargs)
        if tree_any(lambda a: isinstance(a, torch.Tensor), (args, kwargs)):
            return func(*args, **kwargs)
        with self.fake:
            out = func(*args, **kwargs)
        tensors = [t for t in tree_iter(out) if isinstance(t, torch.Tensor)]
        if all(t.numel() <= self.limit for t in tensors):
            return func(*args, **kwargs)
        return out

    def _faked(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            with self.fake:
                return func(*args, **kwargs)
        except DataDependentOutputException:
            if _initialising():
                return False
            raise


def _initialising() -> bool:
    """Whether one of PyTorch's initialisers asks, as one that draws again until all numbers are within bounds."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__") != torch.nn.init.__name__:
        frame = frame.f_back
    return frame is not None


@contextmanager
def _tolerant_registration() -> Iterator[None]:
    """Let packages load whose compiled operators are missing here, or that were loaded once before."""
    original = torch.library.register_fake

    def register(operator: Any, function: Any = None, /, **options: Any) -> Any:
        def decorate(implementation: Any) -> Any:
            try:
                return original(operator, implementation, **options)
            except RuntimeError:
                return implementation

        return decorate if function is None else decorate(function)

    torch.library.register_fake = register
    try:
        yield
    finally:
        torch.library.register_fake = original


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep PyTorch from logging a traceback for every error that shapes alone reveal; we report it ourselves."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


@contextmanager
def abstract(*, real: bool = False) -> Iterator[None]:
    """Run PyTorch code in shapes only (``real``: with real numbers after all)."""
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(_quiet())
        stack.enter_context(without_checkpoints())
        stack.enter_context(_tolerant_registration())
        if not real:
            stack.enter_context(_Abstract(_REAL_LIMIT))
        yield


@contextmanager
def calls_inside_containers(recorder: Recorder) -> Iterator[None]:
    """Report stock layers that containers call on the user's behalf."""
    from torch.nn.modules.module import register_module_forward_hook

    def after(module: Any, args: Any, output: Any) -> None:
        path = recorder.probe.layer_path(module)
        if path is None or not recorder.active:
            return
        if recorder.awaiting(module):
            return
        recorder.event(None, path, tuple(args), {}, output, instance=module)

    handle = register_module_forward_hook(after)
    try:
        yield
    finally:
        handle.remove()


def _tensors(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if isinstance(value, list | tuple):
        return type(value)(_tensors(v) for v in value)
    if isinstance(value, dict):
        return {k: _tensors(v) for k, v in value.items()}
    return value


def evaluate(text: str) -> Any:
    """Evaluate an input given as an expression over ``torch`` and a seeded generator ``g``."""
    generator = torch.Generator().manual_seed(0)
    return eval(text, {"torch": torch, "g": generator})  # noqa: S307 - the user's own input expression

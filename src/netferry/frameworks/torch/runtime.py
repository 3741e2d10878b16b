"""Building and running PyTorch networks for verification."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch

from netferry import trees
from netferry.frameworks import base
from netferry.frameworks.base import Arguments, Array, Call, Precision, State, Variable, VarianceUpdate
from netferry.frameworks.torch.modes import Narrowest, modes
from netferry.frameworks.torch.pretrained import without_checkpoints
from netferry.frameworks.torch.walk import plain_tensors


class TorchRuntime:
    """PyTorch on the CPU."""

    variance_ddof = 1

    def __init__(self, name: str = "torch", *, reading: bool = False) -> None:
        self.name = name
        self._fixed = False

    @contextmanager
    def fixed_randomness(self) -> Iterator[None]:
        """Let every random number be the same one."""
        self._fixed = True
        try:
            yield
        finally:
            self._fixed = False

    @contextmanager
    def prepare(self, dtype: Precision) -> Iterator[None]:
        """Make ``dtype`` the default type."""
        before = torch.get_default_dtype()
        torch.set_default_dtype(getattr(torch, dtype))
        try:
            yield
        finally:
            torch.set_default_dtype(before)

    def seed(self, seed: int) -> None:
        """Make what follows repeatable."""
        torch.manual_seed(seed)
        np.random.seed(seed)  # Networks may draw from it themselves.

    def build(self, factory: Callable[[], Any], dtype: Precision) -> Any:
        """The network with its floating state in ``dtype``."""
        with modes(), without_checkpoints():
            network = factory()
        if isinstance(network, torch.nn.Module):
            wanted = getattr(torch, dtype)
            network._apply(lambda t: t.to(wanted) if t.is_floating_point() else t)  # type: ignore[no-untyped-call]
        return network

    def tensors(self, value: Any) -> Any:
        """NumPy arrays as tensors of their own memory."""
        return trees.convert(value, _tensor)

    def arrays(self, value: Any) -> Any:
        """Tensors as NumPy arrays."""
        return trees.convert(value, to_array)

    def state(self, network: Any) -> State:
        """Parameters and buffers; a shared one is listed under its first path."""
        variables: dict[str, Variable] = {}
        aliases: dict[str, str] = {}
        first: dict[int, str] = {}
        for path, tensor in _named(network):
            if torch.nn.parameter.is_lazy(tensor):  # No call reaches its layer.
                continue
            if id(tensor) in first:
                aliases[path] = first[id(tensor)]
                continue
            first[id(tensor)] = path
            parameter = isinstance(tensor, torch.nn.Parameter) or tensor.requires_grad
            dtype = str(tensor.dtype).removeprefix("torch.")
            kind = "parameter" if parameter else "buffer"
            variables[path] = Variable(path, tuple(tensor.shape), dtype, tensor.requires_grad, kind)  # type: ignore[arg-type]
        return State(variables, aliases)

    def resolve(self, network: Any, path: str) -> str:
        """The first path of the tensor at ``path``."""
        tensor = _lookup(network, path)
        for name, other in _named(network):
            if other is tensor:
                return name
        raise KeyError(path)

    def read(self, network: Any, path: str) -> Array:
        """A copy of one tensor's values."""
        array: Array = to_array(_lookup(network, path))
        return array

    def assign(self, network: Any, path: str, array: Array) -> None:
        """Copy values into one tensor."""
        tensor = _lookup(network, path)
        base.check_shape(path, tensor.shape, array)
        with torch.no_grad():
            # PyTorch reads only arrays that it could also write.
            tensor.copy_(torch.from_numpy(array if array.flags.writeable else np.array(array)))

    def fan_in(self, shape: Sequence[int]) -> int:
        """All axes but the first are summed over."""
        return int(np.prod(shape[1:]))

    def run(self, network: Any, arguments: Arguments, training: bool) -> Any:
        """The outputs as NumPy."""
        with torch.no_grad():
            return self.arrays(self._call(network, arguments, training))

    def gradients(
        self, network: Any, arguments: Arguments, cotangents: Sequence[Array | None], training: bool
    ) -> dict[str, Array]:
        """Gradients by every parameter that requires one."""
        with torch.enable_grad():
            outputs = [o for _, o in trees.numbers(self._call(network, arguments, training))]
        parts = [_weighted(o, c) for o, c in base.paired(outputs, cotangents) if o.requires_grad]
        wanted = {p: _lookup(network, p) for p, v in self.state(network).variables.items() if v.trainable}
        if not wanted:
            return {}
        if not parts:
            raise ValueError("no output depends on a parameter")
        found: Sequence[Any] = torch.autograd.grad(parts, list(wanted.values()), allow_unused=True)
        return {
            path: to_array(torch.zeros_like(tensor) if gradient is None else gradient)
            for (path, tensor), gradient in zip(wanted.items(), found, strict=True)
        }

    def disable_dropout(self, network: Any) -> None:
        """Set every attribute that is a dropout rate to zero."""
        for module in _modules(network):
            for name in base.dropout_rates(module, vars(module)):
                setattr(module, name, 0.0)

    def settle(self, network: Any, arguments: Arguments, random: np.random.Generator) -> None:
        """Bring the running statistics of batch normalisations near those of the data."""

        def before(module: Any, inputs: Any) -> None:
            x = inputs[0].transpose(0, 1).flatten(1)
            factors = torch.from_numpy(random.uniform(-0.3, 0.3, (2, x.shape[0])))
            module.running_mean.copy_(x.mean(1) * factors[0])
            module.running_var.copy_(((x**2).mean(1) + 1e-2) * (1 + factors[1]))  # The variance at one place is none.

        with ExitStack() as stack:
            for _, module in _named_modules(network):
                if isinstance(module, torch.nn.modules.batchnorm._BatchNorm) and module.running_var is not None:
                    stack.callback(module.register_forward_pre_hook(before).remove)
            self.run(network, arguments, training=False)

    def variance_updates(self, network: Any, arguments: Arguments) -> dict[str, VarianceUpdate]:
        """What the normalisation layers with running statistics count."""
        found: dict[str, VarianceUpdate] = {}

        def before(module: Any, inputs: Any, path: str) -> None:
            batched, x = isinstance(module, torch.nn.modules.batchnorm._BatchNorm), inputs[0]
            count = x.numel() // x.shape[1] // (1 if batched else x.shape[0])
            seen = int(module.num_batches_tracked) + 1
            momentum = 1 / seen if module.momentum is None else module.momentum
            kept = found[path].kept if path in found else 1.0
            found[path] = VarianceUpdate(kept * (1 - momentum), count)

        with ExitStack() as stack:
            for name, module in _named_modules(network):
                if isinstance(module, torch.nn.modules.batchnorm._NormBase) and module.running_var is not None:
                    path = self.resolve(network, f"{name}.running_var".lstrip("."))
                    handle = module.register_forward_pre_hook(lambda m, i, path=path: before(m, i, path))
                    stack.callback(handle.remove)
            self.run(network, arguments, training=True)
        return found

    def submodule_calls(self, network: Any, arguments: Arguments) -> list[Call]:
        """Every call of a submodule, through forward hooks."""
        found: list[Call] = []

        def after(module: Any, args: Any, kwargs: Any, output: Any, path: str) -> None:
            kind = type(module).__name__
            found.append(Call(path, kind, self.arrays((args, kwargs)), self.arrays(output)))

        with ExitStack() as stack:
            for name, module in _named_modules(network):
                handle = module.register_forward_hook(
                    lambda m, a, k, o, name=name: after(m, a, k, o, name), with_kwargs=True
                )
                stack.callback(handle.remove)
            self.run(network, arguments, training=False)
        return found

    def weights_file(self, network: Any) -> None:
        """Files use the names of :meth:`state`."""

    def compilation(self, network: Any) -> list[str]:
        """Calls are not compiled."""
        return []

    def narrows(self, network: Any, arguments: Arguments) -> bool:
        """Whether some operation gives fewer bits than float64."""
        with Narrowest() as seen:  # type: ignore[no-untyped-call]
            self.run(network, arguments, training=False)
        return bool(seen.narrow)

    def _call(self, network: Any, arguments: Arguments, training: bool) -> Any:
        if isinstance(network, torch.nn.Module):
            set_training(network, training)
        args, kwargs = self.tensors(arguments)
        try:
            with modes(training=training, fixed=self._fixed):
                return network(*args, **kwargs)
        except ValueError as error:
            if str(error).startswith("Expected more than 1 value per channel when training"):
                raise base.Refused("PyTorch normalises no batch with a single value per channel in training") from error
            raise


def set_training(network: torch.nn.Module, training: bool) -> None:
    """Switch between training and inference, also where a training loop has taken the name ``train``."""
    try:
        network.train(training)
    except TypeError:
        for module in network.modules():
            module.training = training


def _tensor(value: Any) -> Any:
    if not isinstance(value, np.ndarray | np.generic):
        return value
    # A copy: networks may write into their inputs.
    tensor = torch.from_numpy(np.array(value))
    return tensor.to(torch.get_default_dtype()) if tensor.is_floating_point() else tensor


def _weighted(output: torch.Tensor, cotangent: Array) -> torch.Tensor:
    weights = torch.from_numpy(cotangent)
    if output.is_complex():
        return (torch.view_as_real(output) * weights[..., None]).sum()
    return (output * weights).sum()


def to_array(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    value = value.detach().cpu().resolve_conj().resolve_neg()
    if value.is_sparse:
        value = value.to_dense()
    # Copied where nothing else is: what a network returns may be memory that it changes later.
    return np.array((value.float() if value.dtype == torch.bfloat16 else value).numpy())


def _named(network: Any) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(network, torch.nn.Module):
        yield from network.named_parameters(remove_duplicate=False)
        yield from network.named_buffers(remove_duplicate=False)
        for path, module in network.named_modules():
            yield from ((f"{path}.{name}".lstrip("."), tensor) for name, tensor in plain_tensors(module))


def _named_modules(network: Any) -> list[tuple[str, torch.nn.Module]]:
    return list(network.named_modules()) if isinstance(network, torch.nn.Module) else []


def _modules(network: Any) -> list[torch.nn.Module]:
    return [module for _, module in _named_modules(network)]


def _lookup(network: Any, path: str) -> torch.Tensor:
    found = network
    for part in path.split("."):
        if not hasattr(found, part):
            raise KeyError(path)
        found = getattr(found, part)
    if not isinstance(found, torch.Tensor):
        raise KeyError(path)
    return found

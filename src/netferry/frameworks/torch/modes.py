"""Ways to run PyTorch code otherwise than it is written: without dropout, in float64, with fixed random numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from netferry.frameworks.base import NORMAL, UNIFORM

_DROPOUTS = frozenset(
    f"{kind}{inplace}"
    for kind in (
        "dropout",
        "alpha_dropout",
        "feature_dropout",
        "feature_alpha_dropout",
        "dropout1d",
        "dropout2d",
        "dropout3d",
    )
    for inplace in ("", "_")
)


class WithoutDropout(TorchFunctionMode):
    """Makes the dropout functions return their input, so that two training runs agree."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in _DROPOUTS:
            return args[0] if args else kwargs["input"]
        if name == "scaled_dot_product_attention":
            rate = 4  # its position among the arguments
            args, kwargs = (*args[:rate], *([0.0] if args[rate:] else []), *args[rate + 1 :]), dict(kwargs)
            kwargs.pop("dropout_p", None)
        return func(*args, **kwargs)


class Wide(TorchFunctionMode):
    """Makes float64 of every float32 that code asks for by name, so that rounding stays far below any fault."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.Tensor.float:
            func = torch.Tensor.double
        widened = {key: _wide(value) for key, value in (kwargs or {}).items()}
        return func(*map(_wide, args), **widened)


def _wide(value: Any) -> Any:
    return torch.float64 if value is torch.float32 else value


class Narrowest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Watches for results of fewer bits than float64."""

    narrow = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        for tensor in tree_iter(output):
            if isinstance(tensor, torch.Tensor) and tensor.dtype in (torch.float32, torch.float16, torch.bfloat16):
                self.narrow = True
        return output


def _like(function: Callable[..., Any], value: float) -> Callable[..., Any]:
    def call(*args: Any, generator: Any = None, **kwargs: Any) -> Any:
        return function(*args, **kwargs).fill_(value)

    return call


def _normal(mean: Any, std: Any = 1.0, size: Any = None, *, generator: Any = None, **kwargs: Any) -> Any:
    if size is not None:
        return torch.full(size, mean + NORMAL * std, **kwargs)
    return mean + NORMAL * std


def _integers(*args: Any, generator: Any = None, **kwargs: Any) -> Any:
    low, high, size = args if len(args) == 3 else (0, *args) if len(args) == 2 else (0, args[0], kwargs.pop("size"))
    return torch.full(size, low + int(UNIFORM * (high - low)), **({"dtype": torch.int64} | kwargs))


def _inplace(name: str) -> Callable[..., Any]:
    def call(tensor: Any, *args: Any, generator: Any = None, **kwargs: Any) -> Any:
        if name == "bernoulli_":
            share = kwargs.get("p", args[0] if args else 0.5)
            return tensor.copy_((share > UNIFORM) * torch.ones_like(tensor))
        names = ("from", "to") if name == "uniform_" else ("mean", "std")
        first, second = (kwargs.get(n, args[i] if len(args) > i else float(i)) for i, n in enumerate(names))
        return tensor.fill_(first + UNIFORM * (second - first) if name == "uniform_" else first + NORMAL * second)

    return call


_FIXED: Mapping[str, Callable[..., Any]] = {
    "randn": _like(torch.empty, NORMAL),
    "rand": _like(torch.empty, UNIFORM),
    "randn_like": _like(torch.empty_like, NORMAL),
    "rand_like": _like(torch.empty_like, UNIFORM),
    "normal": _normal,
    "randint": _integers,
    "randperm": lambda n, generator=None, **kwargs: torch.arange(n, **kwargs),
    "bernoulli": lambda x, *args, generator=None, **kwargs: (x > UNIFORM).to(x.dtype),
    **{name: _inplace(name) for name in ("normal_", "uniform_", "bernoulli_")},
}


class FixedRandomness(TorchFunctionMode):
    """Gives the same number for every random one, in whatever order and layout they are drawn."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _FIXED.get(getattr(func, "__name__", ""), func)(*args, **(kwargs or {}))


@contextmanager
def modes(*, training: bool = False, fixed: bool = False) -> Iterator[None]:
    """What applies to one run: float64 throughout where that is the default type, dropout off in training."""
    with ExitStack() as stack:
        if fixed:
            stack.enter_context(FixedRandomness())
        if torch.get_default_dtype() == torch.float64:
            stack.enter_context(Wide())
        if training:
            stack.enter_context(WithoutDropout())
        yield

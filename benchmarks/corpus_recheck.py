"""A second opinion on ``verified``: both networks built and compared once more, sharing no code with the verifier.

Only the weight map and the layout conversions of the migration are used; state, inputs, seed and comparison are new.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks import corpus_source
from benchmarks.corpus_environment import seed
from benchmarks.corpus_manifest import Row

SEED = 20_231
TOLERANCE = 1e-6
"""Relative, in float64: rounding stays far below it unless the source computes in float32 somewhere."""


class Disagreement(Exception):
    """The second comparison contradicts the first."""


def recheck(row: Row, migration: Any, file: Path) -> float:
    """The largest difference relative to the largest output; raises :class:`Disagreement` above the tolerance."""
    _assert_standalone(file)
    source = _source(row)
    positional, keyword = corpus_source.arguments(row, SEED)
    expected = [_numpy(leaf) for leaf in corpus_source.flatten(_run_source(source, positional, keyword))]
    with _hidden("netferry"):
        module = _load(file)
    target = _target(migration, module)
    found = _run_target(migration, source, target, positional, keyword)
    if row.stochastic:
        return 0.0
    return _difference(expected, found)


def _assert_standalone(file: Path) -> None:
    """Generated code must not import netferry, whatever is installed."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if any(name.partition(".")[0] == "netferry" for name in names):
            raise Disagreement("the generated code imports netferry")


@contextmanager
def _hidden(package: str) -> Iterator[None]:
    """Make a package impossible to import for a while."""
    loaded = {k: v for k, v in sys.modules.items() if k.partition(".")[0] == package}
    sys.modules.update(dict.fromkeys([*loaded, package]))  # type: ignore[arg-type]  # None blocks the import
    try:
        yield
    finally:
        sys.modules.pop(package, None)
        sys.modules.update(loaded)


def _load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("corpus_generated", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _source(row: Row) -> Any:
    """The source network in float64 and eval mode, with a state of its own in every array."""
    import torch

    torch.set_default_dtype(torch.float64)
    seed(SEED)
    network = corpus_source.evaluated(corpus_source.build(row).double())
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for parameter in network.parameters():
            scale = parameter.abs().mean().clamp(min=0.05)
            parameter.add_(0.3 * scale * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))
        for name, buffer in network.named_buffers():
            if name.endswith("running_mean"):
                buffer.add_(0.2 * torch.randn(buffer.shape, generator=generator, dtype=buffer.dtype))
            elif name.endswith("running_var"):
                buffer.mul_(0.5 + torch.rand(buffer.shape, generator=generator, dtype=buffer.dtype))
    return network


def _run_source(network: Any, positional: list[Any], keyword: dict[str, Any]) -> Any:
    import torch

    args = corpus_source.as_tensors(_wide(positional))
    kwargs = {k: corpus_source.as_tensors(_wide(v)) for k, v in keyword.items()}
    with torch.no_grad():
        return network(*args, **kwargs)


def _wide(value: Any) -> Any:
    """Floating-point arrays in float64, also inside containers."""
    return _mapped(value, _widened)


def _widened(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.astype(np.float64) if value.dtype.kind == "f" else value
    return value.double() if value.is_floating_point() else value


def _target(migration: Any, module: ModuleType) -> Any:
    """The generated network in float64."""
    import keras

    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")  # A policy chosen earlier in the process would outlive the type above.
    seed(SEED + 1)
    names = dict(vars(module))
    exec("\n".join(migration.written.call_imports), names)
    return eval(migration.written.call, names)


def _run_target(
    migration: Any, source: Any, target: Any, positional: list[Any], keyword: dict[str, Any]
) -> list[np.ndarray[Any, Any]]:
    """Outputs of the target with the source's weights, in the source's layout."""
    given = ([_wide(v) for v in positional], {k: _wide(v) for k, v in keyword.items()})
    leaves: list[np.ndarray[Any, Any]] = []
    _mapped(given, leaves.append)
    converted = iter(migration.convert_inputs(*(_numpy(leaf) for leaf in leaves)))
    args, kwargs = _mapped(given, lambda _: _tensor(next(converted)))
    args, kwargs = _plain_by_name(target, args, kwargs)
    target(*args, **kwargs)  # creates the weights
    with contextlib.suppress(Exception):
        target(*args, training=True, **kwargs)  # creates those of parts that only training reaches
    migration.transfer(source, target)
    output = target(*args, training=False, **kwargs)
    leaves = [_numpy(leaf) for leaf in corpus_source.flatten(output)]
    return [np.asarray(v) for v in migration.convert_outputs(*leaves)]


def _plain_by_name(target: Any, args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Keras takes only tensors by position: from the first plain value on, arguments go by name."""
    first = next((i for i, a in enumerate(args) if isinstance(a, bool | int | float | str)), len(args))
    names = list(inspect.signature(target.call).parameters)[first:]
    return args[:first], dict(zip(names, args[first:], strict=False)) | kwargs


def _numpy(value: Any) -> np.ndarray[Any, Any]:
    if hasattr(value, "detach"):
        value = value.detach()
        value = value.to_dense() if value.is_sparse else value
    return np.asarray(value)


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """The same containers with every array in them changed."""
    if isinstance(value, dict):
        return {k: _mapped(v, change) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_mapped(v, change) for v in value)
    return change(value) if hasattr(value, "dtype") else value


def _tensor(value: np.ndarray[Any, Any]) -> Any:
    import keras

    return keras.ops.convert_to_tensor(value)


def _difference(expected: list[np.ndarray[Any, Any]], found: list[np.ndarray[Any, Any]]) -> float:
    if len(expected) != len(found):
        raise Disagreement(f"{len(expected)} output arrays became {len(found)}")
    worst = 0.0
    for position, (a, b) in enumerate(zip(expected, found, strict=True)):
        if a.shape != b.shape:
            raise Disagreement(f"output {position} has shape {b.shape}, not {a.shape}")
        worst = max(worst, _relative(a, b))
    if not worst <= TOLERANCE:
        raise Disagreement(f"outputs differ by {worst:.1e} relative with other weights and inputs")
    return worst


def _relative(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    """Largest difference over largest magnitude; places where both are not finite count as equal."""
    if a.dtype.kind not in "fc":
        return float(np.any(a != b))
    odd = ~np.isfinite(a)
    if np.any(odd != ~np.isfinite(b)):
        return float("inf")
    a, b = a[~odd], b[~odd]
    return float(np.max(np.abs(a - b), initial=0.0) / max(np.max(np.abs(a), initial=0.0), 1e-30))

"""A second opinion on ``verified``: both networks built and compared once more, sharing no code with the verifier.

Only the weight map and the layout conversions of the migration are used; state, inputs, seed and comparison are new.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks import corpus_source
from benchmarks.corpus_environment import seed
from benchmarks.corpus_manifest import Row
from benchmarks.corpus_sides import SIDES, Given, mapped

SEED = 20_231
TOLERANCE = 1e-6
"""Relative, in float64: rounding stays far below it unless the source computes in float32 somewhere."""


class Disagreement(Exception):
    """The second comparison contradicts the first."""


def recheck(row: Row, migration: Any, file: Path) -> float | None:
    """The largest difference relative to the largest output; raises :class:`Disagreement` above the tolerance."""
    _assert_standalone(file)
    given = _wide(corpus_source.arguments(row, SEED))
    framework = migration.reading.framework
    source = _source(row, framework, given)
    expected = _outputs(framework, source, given)
    with _hidden("netferry"):
        module = _load(file)
    target = _target(migration, module)
    found = _run_target(migration, source, target, given)
    if row.stochastic:
        return 0.0
    try:
        return _difference(expected, found)
    except Disagreement:
        if _shapes(expected) == _shapes(found) and not _agree(expected, _outputs(framework, source, given)):
            return None  # the source draws numbers: it does not agree with itself either
        raise


def _outputs(framework: str, network: Any, given: Given) -> list[np.ndarray[Any, Any]]:
    return [_numpy(leaf) for leaf in corpus_source.flatten(SIDES[framework].run(network, given))]


def _shapes(arrays: list[np.ndarray[Any, Any]]) -> list[tuple[int, ...]]:
    return [array.shape for array in arrays]


def _agree(first: list[np.ndarray[Any, Any]], second: list[np.ndarray[Any, Any]]) -> bool:
    try:
        return _difference(first, second) <= TOLERANCE
    except Disagreement:
        return False


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


def _source(row: Row, framework: str, given: Given) -> Any:
    """The source network with a state of its own in every array."""
    seed(SEED)
    side = SIDES[framework]
    network = side.build(lambda: corpus_source.build(row))
    side.ready(network, given)
    side.stir(network, given, SEED)
    return network


def _target(migration: Any, module: ModuleType) -> Any:
    """The generated network."""
    seed(SEED + 1)
    names = dict(vars(module))
    exec("\n".join(migration.written.call_imports), names)
    return SIDES[migration.to].build(lambda: eval(migration.written.call, names))


def _wide(value: Any) -> Any:
    """Floating-point arrays in float64, also inside containers."""
    return mapped(value, _widened)


def _widened(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.astype(np.float64) if value.dtype.kind == "f" else value
    return value.double() if value.is_floating_point() else value


def _run_target(migration: Any, source: Any, target: Any, given: Given) -> list[np.ndarray[Any, Any]]:
    """Outputs of the target with the source's weights, in the source's layout."""
    leaves: list[np.ndarray[Any, Any]] = []
    mapped(given, leaves.append)
    converted = iter(migration.convert_inputs(*(_numpy(leaf) for leaf in leaves)))
    own = mapped(given, lambda _: np.asarray(next(converted)))
    side = SIDES[migration.to]
    side.ready(target, own)
    migration.transfer(source, target)
    leaves = [_numpy(leaf) for leaf in corpus_source.flatten(side.run(target, own))]
    return [np.asarray(v) for v in migration.convert_outputs(*leaves)]


def _numpy(value: Any) -> np.ndarray[Any, Any]:
    if hasattr(value, "detach"):
        value = value.detach()
        value = value.to_dense() if value.is_sparse else value
    return np.asarray(value)


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

"""Runs what the vocabulary's declarations say: one op, one case, one framework, against the op's reference.

Everything follows from the declarations: nothing here knows a single op.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from netferry.frameworks import FUNCTIONS_ARE_LAYERS, catalog
from netferry.ops import registry
from netferry.ops.core import REQUIRED, Case, Ints, OpDef, Spelling
from netferry.ops.lowering import choose, lower_expression
from netferry.pivot.facts import Event, Site, Tensor
from netferry.pivot.nodes import LayerCall, Op, constant, is_literal, literal
from netferry.weights.rearrange import Spec, from_framework, to_framework
from tests.ops.backends import BACKEND, Array, backend, flat, is_float

CHANNELS_LAST = ("tensorflow", "keras", "flax")
TARGETS = ("tensorflow", "keras", "flax")
ON_TENSORFLOW_ONLY = ("tensorflow", "torch", "flax")
"""Frameworks that need no second run when the Keras backend is another."""


@dataclass(frozen=True)
class Trial:
    """One generated test: an op in one form, in one framework, on one of its cases."""

    op: OpDef
    framework: str
    layer: bool
    case: Case
    number: int

    @property
    def id(self) -> str:
        """A readable test id."""
        return f"{self.op.name}-{self.framework}-{'layer' if self.layer else 'call'}-{self.number}"


def trials(ops: Sequence[OpDef], frameworks: Sequence[str] = ("torch", *TARGETS)) -> Iterator[Trial]:
    """Every trial that the declarations of ``ops`` ask for."""
    for op in ops:
        for framework in frameworks:
            if BACKEND != "tensorflow" and framework in ON_TENSORFLOW_ONLY:
                continue
            for layer in forms(op, framework):
                for number, case in enumerate(op.cases):
                    yield Trial(op, framework, layer, case, number)


def forms(op: OpDef, framework: str) -> list[bool]:
    """Whether a framework writes an op as a call, as a layer, or as both; functions may stand for layers."""
    found = {s.layer for s in op.spellings.get(framework, ()) if s.write}
    if found and framework in FUNCTIONS_ARE_LAYERS and any(s.layer for s in op.spellings.get("torch", ())):
        found.add(True)
    return sorted(found)


class Draw:
    """Random arrays that depend only on the case, never on the framework."""

    def __init__(self, *key: Any) -> None:
        self._rng = np.random.default_rng(zlib.crc32(repr(key).encode()))

    def operand(self, spec: Any) -> Any:
        """The value of an operand described in a case (a list for a list of operands)."""
        if isinstance(spec, bool):
            return spec
        if isinstance(spec, list):
            return [self.operand(s) for s in spec]
        if isinstance(spec, Ints):
            return self._rng.integers(0, spec.high, spec.shape).astype(spec.dtype)
        if isinstance(spec, tuple):
            return self._rng.normal(size=spec)
        array = np.asarray(spec)
        return array.astype("float64") if is_float(array) else array

    def parameter(self, name: str, shape: Sequence[int]) -> Array:
        """A parameter; variances are positive."""
        if name.endswith("var"):
            return self._rng.uniform(0.5, 1.5, shape)
        return self._rng.normal(size=tuple(shape))


def inputs(op: OpDef, case: Case) -> dict[str, Any]:
    """The operands of a case in canonical layout."""
    draw = Draw(op.name, sorted(case.operands), case.attributes)
    return {name: draw.operand(spec) for name, spec in case.operands.items()}


def cotangent(index: int, shape: tuple[int, ...]) -> Array:
    """What weighs the ``index``-th result when gradients are compared, in canonical layout."""
    return _rounded(Draw("cotangent", index, shape).parameter("", shape))


def node(op: OpDef, case: Case, *, layer: bool) -> Op:
    """The op node of a case; its operands are names (``xs_0`` for members of lists)."""
    operands = {} if layer else {name: _reference(name, spec) for name, spec in case.operands.items()}
    return Op(op.name, operands, {k: constant(v) for k, v in case.attributes.items()}, layer=layer)


def _reference(name: str, spec: Any) -> ast.expr:
    if isinstance(spec, list):
        return ast.List([_reference(f"{name}_{i}", s) for i, s in enumerate(spec)], ast.Load())
    return ast.Name(name, ast.Load())


def named(values: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays of operands by the names that :func:`node` uses."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, list):
            found |= named({f"{name}_{i}": v for i, v in enumerate(value)})
        else:
            found[name] = value
    return found


def with_supports(expression: ast.expr, framework: str, names: dict[str, Any]) -> dict[str, Any]:
    """``names`` and the support definitions that the expression uses, those they require first."""
    scope = dict(names)

    def need(name: str) -> None:
        if name in scope:
            return
        try:
            found = registry.support(name)
        except KeyError:
            return
        for required in found.needs(framework):
            need(required)
        exec(found.code[framework], scope)  # noqa: S102 - the definition under test

    for node in ast.walk(expression):
        if isinstance(node, ast.Name):
            need(node.id)
    return scope


def evaluate(expression: ast.expr, scope: dict[str, Any], values: Mapping[str, Any]) -> Any:
    """The value of a lowered expression."""
    text = ast.unparse(ast.fix_missing_locations(expression))
    return eval(text, {**scope, **values})


def last(array: Array) -> Array:
    """Channels moved to the end."""
    return np.moveaxis(array, 1, -1) if array.ndim > 2 else array


def first(array: Array) -> Array:
    """Channels moved back."""
    return np.moveaxis(array, -1, 1) if array.ndim > 2 else array


def _moves(op: OpDef, framework: str) -> bool:
    return op.layout == "channels" and framework in CHANNELS_LAST


@functools.cache
def _canonical_shapes(name: str, number: int) -> dict[str, tuple[int, ...]]:
    """The shapes of a layer's canonical parameters in a case, as PyTorch makes them, or Keras where it cannot."""
    op = registry.get(name)
    case = op.cases[number]
    framework = "keras" if "torch" in case.skip else "torch"
    return canonical_shapes(Trial(op, framework, True, case, number))


def canonical_shapes(trial: Trial) -> dict[str, tuple[int, ...]]:
    """The shapes of canonical parameters that a framework's layer has."""
    layer = Layer(trial)
    shapes: dict[str, tuple[int, ...]] = {}
    for path, text in layer.specs.items():
        array = np.zeros(tuple(layer.parameter(path).shape))
        for canonical, recipe in from_framework(
            path, Spec.parse(text), layer.layouts, array.shape, layer.sizes
        ).items():
            shapes[canonical] = recipe({path: array}).shape
    return shapes


class Layer:
    """A layer of a trial, constructed and built.

    What was written may be another op with the same parameters (a depthwise convolution for one in groups).
    """

    def __init__(self, trial: Trial) -> None:
        self.framework = backend(trial.framework)
        self.op, self.writing = trial.op.name, catalog.get(trial.framework).writing()
        source = node(trial.op, trial.case, layer=True)
        lowered: list[Op] = []
        expression = lower_expression(source, trial.framework, lowered)
        scope = with_supports(expression, trial.framework, self.framework.names)
        self.object = evaluate(expression, scope, {})
        written = next((o for o in reversed(lowered) if o.layer and _layouts(o)), lowered[-1])
        op = registry.get(written.name)
        expressions = {k.arg: k.value for k in written.attributes if k.arg}
        self.spelling = choose(op, trial.framework, expressions, layer=written.layer)
        self.layouts = _layouts(written)
        self.specs = op.specs(self.spelling, _literals(written)) if self.layouts else {}
        known = op.values(_literals(written))
        self.sizes = {factor: int(known[name]) for factor, name in op.sizes.items()}
        called = (
            choose(trial.op, trial.framework, expressions, layer=True) if op is trial.op and written.layer else None
        )
        order = {n: c.attribute for n in called.parsed_call.names if (c := called.conversion(n))} if called else {}
        self.names = order or {p.name: p.name for p in trial.op.operands}
        arrays = prepared(trial)
        self.object = self.framework.build(self.object, lambda: self(_grouped(trial, arrays, self.framework.tensor)))
        self.owner = _owner(self.framework, self.object, self.spelling)

    def __call__(self, values: Mapping[str, Any]) -> Any:
        """Call by position up to the first operand that is left out, by keyword after it."""
        operands = {
            name: constant(value) if isinstance(value, bool) else ast.Name(name, ast.Load())
            for name, value in values.items()
        }
        seen = {
            name: Tensor(0, value.shape, str(value.dtype)) for name, value in values.items() if hasattr(value, "shape")
        }
        site = Site("", 0, 0, 0, [Event(0, 0, "", kwargs=seen)])
        written = self.writing.layer_call(LayerCall(self.op, ast.Name("layer", ast.Load()), operands, site))
        if isinstance(written, ast.Call):
            return evaluate(written, self.framework.names, {**values, "layer": self.object})
        given = [(name, operand in values) for name, operand in self.names.items()]
        leading = next((i for i, (_, known) in enumerate(given) if not known), len(given))
        args = [values[self.names[name]] for name, _ in given[:leading]]
        return self.object(*args, **{name: values[self.names[name]] for name, known in given[leading:] if known})

    def parameter(self, path: str) -> Any:
        """A parameter by its path below the layer that owns it."""
        return self.framework.parameter(self.owner, path)


def _literals(node: Op) -> dict[str, Any]:
    return {k.arg: literal(k.value) for k in node.attributes if k.arg and is_literal(k.value)}


def _layouts(node: Op) -> Mapping[str, str]:
    """The canonical parameters of a layer."""
    return registry.get(node.name).layouts(_literals(node))


def _owner(framework: Any, layer: Any, spelling: Spelling) -> Any:
    """The layer that holds the parameters: itself, or the one of the spelling's class inside a sequence."""
    name = spelling.path.rpartition(".")[2]
    return next((part for part in framework.parts(layer) if type(part).__name__ == name), layer)


_precision = ["float64"]


@contextlib.contextmanager
def single_precision() -> Iterator[None]:
    """Runs what stands inside in float32: TensorFlow has some ops in no other type."""
    import keras

    _precision[0] = "float32"
    keras.config.set_floatx("float32")
    try:
        yield
    finally:
        _precision[0] = "float64"
        keras.config.set_floatx("float64")


def _rounded(array: Array) -> Array:
    return array.astype(_precision[0]) if is_float(array) else array


def _lacks_float64(error: Exception) -> bool:
    text = str(error)
    return "DT_DOUBLE" in text or "of double is not in the list" in text


def prepared(trial: Trial) -> dict[str, Array]:
    """The named operand arrays in the layout of the framework."""
    arrays = {n: _rounded(a) for n, a in named(inputs(trial.op, trial.case)).items() if isinstance(a, np.ndarray)}
    if _moves(trial.op, trial.framework):
        x = trial.op.operands[0].name
        arrays = {n: last(a) if n == x or n.startswith(f"{x}_") else a for n, a in arrays.items()}
    return arrays


def _grouped(trial: Trial, arrays: Mapping[str, Any], convert: Any = lambda a: a) -> dict[str, Any]:
    """The operands by canonical name, lists put together again."""

    def value(name: str, spec: Any) -> Any:
        if isinstance(spec, list):
            return [value(f"{name}_{i}", s) for i, s in enumerate(spec)]
        return spec if isinstance(spec, bool) else convert(arrays[name])

    return {name: value(name, spec) for name, spec in trial.case.operands.items()}


@dataclass(frozen=True)
class Outcome:
    """What a framework computed, in canonical layout; parameter gradients by canonical name."""

    results: list[Array]
    operand_gradients: list[Array | None] | None
    parameter_gradients: dict[str, Array]


def load(trial: Trial) -> tuple[Layer, dict[str, Any]]:
    """A layer with the canonical parameters of the case loaded; its shapes are asserted first."""
    layer = Layer(trial)
    canonical = parameters(trial)
    shapes = {name: array.shape for name, array in canonical.items()}
    variables: dict[str, Any] = {}
    for path, text in layer.specs.items():
        variable = layer.parameter(path)
        made = to_framework(Spec.parse(text), layer.layouts, shapes, tuple(variable.shape), layer.sizes)(canonical)
        assert tuple(variable.shape) == made.shape, f"{path} has shape {tuple(variable.shape)}, expected {made.shape}"
        layer.framework.assign(variable, np.ascontiguousarray(made))
        variables[path] = variable
    return layer, variables


def parameters(trial: Trial) -> dict[str, Array]:
    """The canonical parameters of a case."""
    if not trial.layer or not trial.op.layouts(trial.case.attributes):
        return {}
    shapes = _canonical_shapes(trial.op.name, trial.number)
    draw = Draw("parameters", trial.op.name, trial.number)
    return {name: draw.parameter(name, shapes[name]) for name in sorted(shapes)}


def execute(trial: Trial, *, gradients: bool) -> Outcome:
    """Run the trial in its framework."""
    framework = backend(trial.framework)
    arrays = prepared(trial)
    moves = _moves(trial.op, trial.framework)
    layer: Layer | None = None
    variables: dict[str, Any] = {}
    if trial.layer:
        layer, variables = load(trial)
    else:
        expression = lower_expression(node(trial.op, trial.case, layer=False), trial.framework)
        scope = with_supports(expression, trial.framework, framework.names)

    def function(tensors: Sequence[Any]) -> Any:
        values = dict(zip(arrays, tensors, strict=True))
        if layer is not None:
            return layer(_grouped(trial, values))
        return evaluate(expression, scope, values)

    def weight(index: int, shape: tuple[int, ...]) -> Array:
        if not moves or len(shape) < 3:
            return cotangent(index, shape)
        return last(cotangent(index, (shape[0], shape[-1], *shape[1:-1])))

    draw = weight if gradients else None
    results, found = framework.run(function, list(arrays.values()), layer, list(variables.values()), draw)
    if moves:
        results = [first(r) for r in results]
    if found is None:
        return Outcome(results, None, {})
    floats = [n for n, a in arrays.items() if is_float(a)]
    x = trial.op.operands[0].name
    operands = [
        first(g) if moves and g is not None and (n == x or n.startswith(f"{x}_")) else g
        for n, g in zip(floats, found, strict=False)
    ]
    return Outcome(results, operands, _canonical_gradients(layer, variables, found[len(floats) :]))


def _canonical_gradients(layer: Layer | None, variables: dict[str, Any], found: list[Array | None]) -> dict[str, Array]:
    """Gradients by canonical parameter; every member of a sum has the gradient of the sum."""
    if layer is None:
        return {}
    trained = [p for p, v in variables.items() if _is_trained(v)]
    made: dict[str, Array] = {}
    for path, gradient in zip(trained, found, strict=True):
        if gradient is None:
            continue
        spec = Spec.parse(layer.specs[path])
        recipes = from_framework(path, spec, layer.layouts, gradient.shape, layer.sizes)
        for name in spec.names:
            source = name if spec.combine != "sum" else spec.names[0]
            made[name] = recipes[source]({path: gradient})
    return made


def _is_trained(variable: Any) -> bool:
    if type(variable).__module__.startswith("flax"):
        return type(variable).__name__ == "Param"
    return bool(getattr(variable, "requires_grad", getattr(variable, "trainable", False)))


@functools.lru_cache(maxsize=4096)
def baseline(name: str, number: int) -> Outcome | None:
    """PyTorch's outcome with gradients; None where it has no way to write the op."""
    op = registry.get(name)
    forms = sorted({s.layer for s in op.spellings.get("torch", ()) if s.write}, reverse=True)
    if not forms:
        return None
    trial = Trial(op, "torch", forms[0], op.cases[number], number)
    return execute(trial, gradients=True)


def reference(trial: Trial) -> list[Array]:
    """What the op's reference says, as a flat list."""
    assert trial.op.reference is not None
    given = inputs(trial.op, trial.case)
    operands = [given.get(p.name, p.default) for p in trial.op.operands if p.name in given or p.default is not REQUIRED]
    while operands and operands[-1] is None:
        operands.pop()
    made = trial.op.reference(*operands, **parameters(trial), **trial.case.attributes)
    return [np.asarray(r) for r in flat(made)]


def compare(found: Sequence[Array], wanted: Sequence[Array], tolerance: float, what: str) -> None:
    """Assert equal number, shapes, kinds of type and values."""
    assert len(found) == len(wanted), f"{what}: {len(found)} results, expected {len(wanted)}"
    for one, other in zip(found, wanted, strict=True):
        assert one.shape == other.shape, f"{what}: shape {one.shape}, expected {other.shape}"
        assert (one.dtype.kind == "b") == (other.dtype.kind == "b"), f"{what}: type {one.dtype}, expected {other.dtype}"
        finite = np.abs(other[np.isfinite(other)]) if other.dtype.kind == "f" else np.zeros(0)
        scale = max(float(finite.max(initial=0.0)), 1e-3)
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * scale, err_msg=what)


def check(trial: Trial) -> None:
    """Run a trial and compare results with the reference and gradients with PyTorch's."""
    tolerance = trial.op.tolerance[0]
    # JAX compiles every primitive of a backward pass anew, so there one case of an op stands for all.
    worthwhile = (BACKEND != "jax" and trial.framework != "flax") or trial.number == 0
    wants_gradients = (
        trial.case.gradients and worthwhile and trial.framework != "torch" and trial.op.reference is not None
    )
    truth = baseline(trial.op.name, trial.number) if wants_gradients else None
    gradients = truth is not None and truth.operand_gradients is not None
    try:
        outcome = execute(trial, gradients=gradients)
    except Exception as error:
        if not _lacks_float64(error):
            raise
        with single_precision():
            outcome = execute(trial, gradients=gradients)
        tolerance = max(tolerance, 1e-5)
    if trial.op.reference is None:
        return
    compare(outcome.results, reference(trial), tolerance, "result")
    if truth is None or truth.operand_gradients is None or outcome.operand_gradients is None:
        return
    # Backward passes accumulate more rounding than the forward one that the tolerance was measured on.
    loose = max(min(100 * tolerance, 1e-4), 1e-10)
    for mine, theirs in zip(outcome.operand_gradients, truth.operand_gradients, strict=True):
        compare([_or_zero(mine, theirs)], [_or_zero(theirs, mine)], loose, "gradient of an operand")
    for name, theirs in truth.parameter_gradients.items():
        if name in outcome.parameter_gradients:
            compare([outcome.parameter_gradients[name]], [theirs], loose, f"gradient of {name}")


def _or_zero(gradient: Array | None, other: Array | None) -> Array:
    if gradient is not None:
        return gradient
    return np.zeros(()) if other is None else np.zeros_like(other)

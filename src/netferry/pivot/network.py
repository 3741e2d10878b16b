"""The network itself, as it ran: modules, layers with hyperparameters, operations, and the tensors between them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from netferry.diagnostics import failure
from netferry.frameworks import catalog as frameworks
from netferry.ops.core import INFERRED, REQUIRED
from netferry.passes.layout.bound import Use, layer_attributes, tensors, uses
from netferry.pivot.diagram import mermaid
from netferry.pivot.facts import Site, Tensor
from netferry.pivot.program import Program
from netferry.walking import walk

SCHEMA: Final = "netferry/network"
VERSION: Final = 1

_OPERATORS: Final = {
    "Add": "add", "Sub": "sub", "Mult": "mul", "MatMult": "matmul", "Div": "div", "Mod": "remainder", "Pow": "pow",
    "FloorDiv": "floor_divide", "LShift": "bitwise_left_shift", "RShift": "bitwise_right_shift", "BitOr": "bitwise_or",
    "BitXor": "bitwise_xor", "BitAnd": "bitwise_and", "Eq": "equal", "NotEq": "not_equal", "Lt": "less",
    "LtE": "less_equal", "Gt": "greater", "GtE": "greater_equal", "USub": "neg", "UAdd": "identity",
    "Invert": "bitwise_not", "getitem": "index",
}  # fmt: skip


@dataclass(frozen=True)
class Value:
    """A tensor: its name here, shape and type; ``source`` names the parameter or buffer that it is."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    source: str | None = None

    @property
    def text(self) -> str:
        """``2x64x16x16``."""
        return "x".join(map(str, self.shape)) or "scalar"


@dataclass(frozen=True)
class Array:
    """A parameter or buffer of a module."""

    name: str
    shape: tuple[int, ...]
    trainable: bool

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Module:
    """A module of the network; stock layers have an op with its attributes."""

    path: str
    kind: str
    op: str | None
    attributes: Mapping[str, Any]
    arrays: Sequence[Array]


@dataclass(frozen=True)
class Step:
    """One application of an op or layer, in the order of the run.

    ``inputs`` are names of tensors by operand; what else was given is among the attributes.
    """

    op: str
    layer: str | None
    inputs: Mapping[str, Sequence[str]]
    attributes: Mapping[str, Any]
    outputs: Sequence[str]
    place: str


@dataclass
class Network:
    """A whole network."""

    source: str
    entry: str
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    modules: list[Module] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values, as ``docs/pivot-schema.json`` describes them."""
        return {
            "schema": SCHEMA, "version": VERSION, "source": self.source, "entry": self.entry,
            "inputs": self.inputs, "outputs": self.outputs,
            "tensors": [asdict(v) | {"shape": list(v.shape)} for v in self.values.values()],
            "modules": [
                {**asdict(m), "arrays": [asdict(a) | {"shape": list(a.shape)} for a in m.arrays]} for m in self.modules
            ],
            "steps": [asdict(s) for s in self.steps],
        }  # fmt: skip

    def table(self) -> list[dict[str, Any]]:
        """The layers in the order of their calls; then what was not called by itself but holds arrays."""
        shapes: dict[str, dict[str, None]] = {}
        for step in self.steps:
            if step.layer is not None:
                shown = ", ".join(self.values[v].text for v in step.outputs)
                shapes.setdefault(step.layer, {})[shown] = None
        called = {path: rank for rank, path in enumerate(shapes)}
        rows = [m for m in self.modules if m.path in shapes or m.arrays]
        rows.sort(key=lambda m: called.get(m.path, len(called)))
        return [
            {
                "layer": m.path or self.entry, "kind": m.op or m.kind, "output": " | ".join(shapes.get(m.path, ())),
                "parameters": sum(a.size for a in m.arrays if a.trainable),
            }
            for m in rows
        ]  # fmt: skip

    def diagram(self) -> str:
        """The data flow as a Mermaid graph."""
        return mermaid(self)


def network(program: Program) -> Network:
    """The network of a program that was observed."""
    if program.facts is None:
        raise failure("NF035", "this pivot was not observed: its network is not known", hint="Read it from its source.")
    return _Builder(program).build()


class _Builder:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.recording = program.facts
        self.made = Network(program.source, program.entry)
        self.paths: dict[int, str] = {}
        """Identity of a layer -> its path."""
        self.arrays: dict[int, str] = {}
        """Identity of a parameter or buffer -> its name."""
        self.current: dict[int, str] = {}
        """Identity of a tensor -> the name of its present value: an op in place gives it a new one."""
        self.places = {s.node: s for s in _sites(program)}

    def build(self) -> Network:
        """All parts, in the order in which they need each other."""
        self._modules()
        given = self.recording.inputs
        self.made.inputs = [self._value(t) for t in given]
        for use in _live(self.recording, {t.identity for t in given} | set(self.arrays)):
            self._step(use)
        self.made.outputs = [self._named(t) for t in tensors(self.recording.outputs)]
        return self.made

    def _modules(self) -> None:
        attributes = layer_attributes(self.recording)
        seen: set[int] = set()
        for module in frameworks.get(self.program.source).reading().walk(self.recording.network):
            self.paths[id(module.instance)] = module.source
            prefix = f"{module.source}." if module.source else ""
            for member in module.members:
                self.arrays.setdefault(member.identity, prefix + member.name)
            op, _, values = attributes.get(id(module.instance), (None, None, {}))
            # A tied array belongs to the module that comes first.
            arrays = [Array(m.name, m.shape, m.trainable) for m in module.members if m.identity not in seen]
            seen.update(m.identity for m in module.members)
            known = {k: _plain(v) for k, v in values.items() if v is not REQUIRED and v is not INFERRED}
            kind = type(module.instance).__name__
            self.made.modules.append(Module(module.source, kind, op.name if op else None, known, arrays))

    def _step(self, use: Use) -> None:
        layer = self.paths.get(use.instance) if use.instance is not None else None
        inputs, attributes = {}, {}
        for name, value in [*use.operands.items(), *(() if layer is not None else use.attributes.items())]:
            found = [self._named(t) for t in tensors(value)]
            if found:
                inputs[name] = found
            elif value is not None and value is not REQUIRED and value is not INFERRED:
                attributes[name] = _plain(value)
        site = self.places.get(use.site if use.site is not None else -1) or self.places.get(use.made or -1)
        place = f"{site.file}:{site.line}:{site.column}" if site else ""
        outputs = [self._value(t) for t in use.results]
        self.made.steps.append(Step(_name(use), layer, inputs, attributes, outputs, place))

    def _value(self, tensor: Tensor) -> str:
        """A new name for a tensor."""
        name = f"t{len(self.made.values)}"
        self.current[tensor.identity] = name
        self.made.values[name] = Value(name, tensor.shape, tensor.dtype, self.arrays.get(tensor.identity))
        return name

    def _named(self, tensor: Tensor) -> str:
        return self.current.get(tensor.identity) or self._value(tensor)


def _name(use: Use) -> str:
    """The op's canonical name."""
    owner, _, name = use.op.rpartition(".")
    if owner == "operator":
        return "setitem" if name.startswith("setitem") else _OPERATORS.get(name, name)
    return use.op


def _live(recording: Any, sources: set[int]) -> Iterable[Use]:
    """What the outputs depend on: neither the construction of parameters nor the run in training mode."""
    needed = {t.identity for t in tensors(recording.outputs)} - sources
    found: list[Use] = []
    for use in reversed(list(uses(recording))):
        results = {t.identity for t in use.results}
        given = {t.identity for t in tensors([use.operands, use.attributes])}
        changes = use.inplace or use.rule == "setitem"
        if results & needed or (changes and given & needed):
            found.append(use)
            needed = (needed - results | given) - sources
    return reversed(found)


def _sites(program: Program) -> Iterator[Site]:
    for tree in [*(d.node for d in program.definitions), program.construction]:
        for node in walk(tree):
            site = getattr(node, "site", None)
            if isinstance(site, Site):
                yield site


def _plain(value: Any) -> Any:
    """A hyperparameter as JSON has it."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, slice):
        return ":".join("" if v is None else str(v) for v in (value.start, value.stop, value.step))
    return getattr(value, "__qualname__", None) or str(value)

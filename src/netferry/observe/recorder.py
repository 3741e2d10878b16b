"""Records what an instrumented run does: the value of every node and the calls of the framework, in order."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from netferry.pivot.facts import Event, Tensor

_LIMIT = 64
"""Values kept per node: enough to see whether a site is uniform, small enough for loops of a thousand layers."""

_BINARY: Mapping[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add, "Sub": operator.sub, "Mult": operator.mul, "MatMult": operator.matmul,
    "Div": operator.truediv, "Mod": operator.mod, "Pow": operator.pow, "LShift": operator.lshift,
    "RShift": operator.rshift, "BitOr": operator.or_, "BitXor": operator.xor, "BitAnd": operator.and_,
    "FloorDiv": operator.floordiv,
}  # fmt: skip
_INPLACE: Mapping[str, Callable[[Any, Any], Any]] = {
    "Add": operator.iadd, "Sub": operator.isub, "Mult": operator.imul, "MatMult": operator.imatmul,
    "Div": operator.itruediv, "Mod": operator.imod, "Pow": operator.ipow, "LShift": operator.ilshift,
    "RShift": operator.irshift, "BitOr": operator.ior, "BitXor": operator.ixor, "BitAnd": operator.iand,
    "FloorDiv": operator.ifloordiv,
}  # fmt: skip
_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "Eq": operator.eq, "NotEq": operator.ne, "Lt": operator.lt, "LtE": operator.le, "Gt": operator.gt,
    "GtE": operator.ge,
}  # fmt: skip
_UNARY: Mapping[str, Callable[[Any], Any]] = {
    "USub": operator.neg, "UAdd": operator.pos, "Invert": operator.invert,
}  # fmt: skip


class Probe(Protocol):
    """What the recorder asks of a framework."""

    def is_tensor(self, value: Any) -> bool:
        """Whether ``value`` is a tensor of this framework."""

    def describe(self, value: Any) -> tuple[tuple[int, ...], str]:
        """Shape and canonical dtype of a tensor."""

    def path(self, function: Any) -> str | None:
        """The public dotted path of a framework callable; None for anything else."""

    def layer_path(self, instance: Any) -> str | None:
        """The path of a stock layer's class when ``instance`` is one; None for anything else."""


@dataclass(slots=True)
class _Frame:
    node: int
    function: Any
    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass
class Recording:
    """All that a run told."""

    values: dict[int, list[Any]] = field(default_factory=dict)
    callees: dict[int, list[Any]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    by_node: dict[int, list[Event]] = field(default_factory=dict)
    instances: dict[int, Any] = field(default_factory=dict)
    constructed: dict[int, int] = field(default_factory=dict)
    executed: set[int] = field(default_factory=set)
    inputs: list[Tensor] = field(default_factory=list)
    outputs: Any = None
    network: Any = None
    failure: BaseException | None = None


class Recorder:
    """The object that instrumented code reports to."""

    slice = staticmethod(slice)

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.recording = Recording()
        self.active = True
        self._stack: list[_Frame] = []
        self._alive: list[Any] = []
        self._tensors: dict[int, Tensor] = {}

    # -- calls ---------------------------------------------------------------------------------------------------

    def callee(self, node: int, function: Any) -> Any:
        """A call begins: ``function`` is about to get its arguments."""
        if self.active:
            self._stack.append(_Frame(node, function))
        return function

    def argument(self, node: int, value: Any) -> Any:
        """A positional argument."""
        if self.active:
            self._stack[-1].args.append(value)
        return value

    def keyword(self, node: int, name: str, value: Any) -> Any:
        """A keyword argument."""
        if self.active:
            self._stack[-1].kwargs[name] = value
        return value

    def starred(self, node: int, values: Iterable[Any]) -> Any:
        """A starred argument."""
        if not self.active:
            return values
        kept = tuple(values)
        self._stack[-1].args.extend(kept)
        self._keep(node, kept)
        return kept

    def mapping(self, node: int, values: Mapping[str, Any]) -> Any:
        """A ``**`` argument."""
        if self.active:
            self._stack[-1].kwargs.update(values)
            self._keep(node, dict(values))
        return values

    def result(self, node: int, value: Any) -> Any:
        """A call has returned."""
        if not self.active:
            return value
        while self._stack:
            frame = self._stack.pop()
            if frame.node == node:
                self._called(frame, value)
                break
        return value

    def _called(self, frame: _Frame, value: Any) -> None:
        recording = self.recording
        recording.executed.add(frame.node)
        callees = recording.callees.setdefault(frame.node, [])
        if len(callees) < _LIMIT:
            callees.append(frame.function)
        self._keep(frame.node, value)
        layer = self.probe.layer_path(value) if isinstance(frame.function, type) else None
        if layer is not None:
            recording.constructed[id(value)] = frame.node
        path = self.probe.layer_path(frame.function)
        if path is not None:
            self.event(frame.node, path, tuple(frame.args), frame.kwargs, value, instance=frame.function)
            return
        path = self.probe.path(frame.function)
        if path is None:
            return
        receiver = getattr(frame.function, "__self__", None)
        args = tuple(frame.args)
        if receiver is not None and not isinstance(receiver, type) and not hasattr(receiver, "__spec__"):
            args = (receiver, *args)
        self.event(frame.node, path, args, frame.kwargs, value)

    def event(
        self, node: int | None, path: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any,
        instance: Any = None,
    ) -> None:  # fmt: skip
        """Note a framework call with the facts of its arguments and result."""
        recording = self.recording
        identity = None
        if instance is not None:
            identity = id(instance)
            recording.instances[identity] = instance
        event = Event(
            len(recording.events), node, path, self.facts(args), self.facts(dict(kwargs)), self.facts(result), identity,
            recording.constructed.get(identity) if identity is not None else None,
        )  # fmt: skip
        recording.events.append(event)
        if node is not None:
            recording.by_node.setdefault(node, []).append(event)

    def awaiting(self, instance: Any) -> bool:
        """Whether the user's own code is just calling ``instance`` (its result will be reported there)."""
        return bool(self._stack) and self._stack[-1].function is instance

    # -- values --------------------------------------------------------------------------------------------------

    def value(self, node: int, value: Any) -> Any:
        """A name was read."""
        if self.active:
            self._keep(node, value)
        return value

    def attribute(self, node: int, owner: Any, name: str) -> Any:
        """An attribute was read."""
        value = getattr(owner, name)
        if self.active:
            self._keep(node, value)
            if self.probe.is_tensor(owner):
                self.event(node, self.probe.path(type(owner)) or "", (owner,), {"attribute": name}, value)
        return value

    def subscript(self, node: int, owner: Any, index: Any) -> Any:
        """An item was read."""
        value = owner[index]
        if self.active:
            self._keep(node, value)
            if self.probe.is_tensor(owner):
                self.event(node, "operator.getitem", (owner, index), {}, value)
        return value

    def binary(self, node: int, name: str, left: Any, right: Any) -> Any:
        """A binary operator."""
        return self._operated(node, f"operator.{name}", _BINARY[name](left, right), left, right)

    def compare(self, node: int, name: str, left: Any, right: Any) -> Any:
        """A comparison."""
        return self._operated(node, f"operator.{name}", _COMPARE[name](left, right), left, right)

    def unary(self, node: int, name: str, operand: Any) -> Any:
        """A unary operator."""
        return self._operated(node, f"operator.{name}", _UNARY[name](operand), operand)

    def inplace(self, node: int, name: str, left: Any, right: Any) -> Any:
        """An augmented assignment to a name."""
        before = self.facts((left, right)) if self.active else ()
        value = _INPLACE[name](left, right)
        if self.active and self._is_tensor(left, right, value):
            self._keep(node, value)
            self._note(node, f"operator.{name}", before, value)
        return value

    def inplace_attribute(self, node: int, name: str, owner: Any, attribute: str, right: Any) -> None:
        """An augmented assignment to an attribute."""
        setattr(owner, attribute, self.inplace(node, name, getattr(owner, attribute), right))

    def inplace_item(self, node: int, name: str, owner: Any, index: Any, right: Any) -> None:
        """An augmented assignment to an item."""
        if self.active and self.probe.is_tensor(owner):
            self.event(node, f"operator.setitem_{name}", (owner, index, right), {}, owner)
        owner[index] = _INPLACE[name](owner[index], right)

    def set_item(self, node: int, owner: Any, index: Any, value: Any) -> None:
        """An assignment to an item."""
        if self.active:
            self.recording.executed.add(node)
            if self.probe.is_tensor(owner):
                self.event(node, "operator.setitem", (owner, index, value), {}, owner)
        owner[index] = value

    def _operated(self, node: int, path: str, value: Any, *operands: Any) -> Any:
        if self.active:
            self._keep(node, value)
            if self._is_tensor(*operands):
                self.event(node, path, operands, {}, value)
        return value

    def _note(self, node: int, path: str, args: Any, value: Any) -> None:
        recording = self.recording
        event = Event(len(recording.events), node, path, args, {}, self.facts(value))
        recording.events.append(event)
        recording.by_node.setdefault(node, []).append(event)

    def _is_tensor(self, *values: Any) -> bool:
        return any(self.probe.is_tensor(v) for v in values)

    def _keep(self, node: int, value: Any) -> None:
        self.recording.executed.add(node)
        kept = self.recording.values.setdefault(node, [])
        if len(kept) < _LIMIT:
            kept.append(self.facts(value) if self.probe.is_tensor(value) else value)

    def facts(self, value: Any) -> Any:
        """``value`` with every tensor in it replaced by its facts."""
        if self.probe.is_tensor(value):
            return self._tensor(value)
        if type(value) in (list, tuple):
            return type(value)(self.facts(v) for v in value)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return tuple(self.facts(v) for v in value)
        if isinstance(value, tuple) and not any(self.probe.is_tensor(v) for v in value):
            return tuple(value)
        if isinstance(value, tuple):
            return tuple(self.facts(v) for v in value)
        if isinstance(value, dict):
            return {k: self.facts(v) for k, v in value.items()}
        return value

    def _tensor(self, value: Any) -> Tensor:
        shape, dtype = self.probe.describe(value)
        known = self._tensors.get(id(value))
        if known is None or known.shape != shape or known.dtype != dtype:
            known = Tensor(id(value), shape, dtype)
            self._tensors[id(value)] = known
            # Alive for the whole run: an identity must not be given twice.
            self._alive.append(value)
        return known

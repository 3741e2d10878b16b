"""Records what an instrumented run does: the value of every node and the calls of the framework, in order."""

from __future__ import annotations

import functools
import operator
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
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
    "GtE": operator.ge, "Is": operator.is_, "IsNot": operator.is_not,
}  # fmt: skip
_UNARY: Mapping[str, Callable[[Any], Any]] = {
    "USub": operator.neg, "UAdd": operator.pos, "Invert": operator.invert,
}  # fmt: skip


class Probe(Protocol):
    """What the recorder asks of a framework."""

    name: str

    def is_tensor(self, value: Any) -> bool:
        """Whether ``value`` is a tensor of this framework."""

    def describe(self, value: Any) -> tuple[tuple[int, ...], str]:
        """Shape and canonical dtype of a tensor."""

    def path(self, function: Any) -> str | None:
        """The public dotted path of a framework callable; None for anything else."""

    def layer_path(self, instance: Any) -> str | None:
        """The path of a stock layer's class when ``instance`` is one; None for anything else."""

    def inherited(self, function: Any) -> tuple[str, Any] | None:
        """The path of the stock layer's class, and the instance, where ``function`` is what that class computes."""

    def tensor_path(self, attribute: str) -> str:
        """The path of an attribute or method of tensors."""

    def is_module(self, value: Any) -> bool:
        """Whether a value is a network or layer instance."""

    def array(self, value: Any) -> Any:
        """What stands for a tensor: for a variable, the tensor that it holds, where these are two."""


@dataclass(slots=True)
class _Frame:
    node: int
    function: Any
    serial: int
    body: int
    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Link:
    """A call under way: its node, its number among all calls, what body it stands in, and the instance called."""

    node: int
    serial: int
    body: int
    instance: int = 0


@dataclass
class Recording:
    """All that a run told."""

    values: dict[int, list[Any]] = field(default_factory=dict)
    callees: dict[int, list[Any]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    by_node: dict[int, list[Event]] = field(default_factory=dict)
    instances: dict[int, Any] = field(default_factory=dict)
    constructed: dict[int, int] = field(default_factory=dict)
    instantiated: dict[int, int] = field(default_factory=dict)
    """Instance of a class of the user's -> the node that made it."""
    chains: dict[int, tuple[Link, ...]] = field(default_factory=dict)
    """Instance -> the calls within which it was made, outermost first, the one that made it last."""
    based: dict[int, tuple[int, tuple[Link, ...], str]] = field(default_factory=dict)
    """Instance of a class that extends a stock layer -> the call of that layer's constructor, those around it, its path."""
    within: dict[int, list[tuple[Link, ...]]] = field(default_factory=dict)
    """Node of a number read from a name or a sequence -> the calls within which it was, each time."""
    given: dict[int, dict[str, int]] = field(default_factory=dict)
    """Number of a call of the user's function -> the numbers it was given by name, also by the function that made it."""
    fields: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Number of a call of a module -> what plain data it was made with, by name."""
    calls: dict[int, list[int]] = field(default_factory=dict)
    """Node -> the numbers of the calls of the user's functions made there."""
    made_by: dict[int, int] = field(default_factory=dict)
    """Number of a call of a function that another returned -> the number of the call that returned it."""
    labels: dict[int, Any] = field(default_factory=dict)
    """Node that makes a layer -> the expression of the name that the source gives it."""
    starts: dict[int, Any] = field(default_factory=dict)
    """Node that makes a layer -> how its parameters start, by their names, where the source says so."""
    executed: set[int] = field(default_factory=set)
    inputs: list[Tensor] = field(default_factory=list)
    inner: list[Tensor] = field(default_factory=list)
    """The inputs of networks inside the network, where these are graphs of their own."""
    outputs: Any = None
    network: Any = None
    failure: BaseException | None = None
    plain: Any = None
    """The definitions of the main file as code that tells nothing: for networks that loading it makes."""


class Recorder:
    """The object that instrumented code reports to."""

    slice = staticmethod(slice)

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.recording = Recording()
        self.active = True
        self._calls = 0
        self._stack: list[_Frame] = []
        self._alive: list[Any] = []
        self._made_by: dict[int, int] = {}
        """Functions that functions of the user's returned -> the calls that returned them."""
        self._makers: dict[int, dict[str, int]] = {}
        """Functions that functions of the user's returned -> the numbers that those were given."""
        self._tensors: dict[int, Tensor] = {}
        self._displays: dict[int, tuple[int, int, Any]] = {}
        """Identity of a list -> where it was first an argument, of which call, and the list (kept, so that it stays)."""

    # -- calls ---------------------------------------------------------------------------------------------------

    def callee(self, node: int, function: Any) -> Any:
        """A call begins: ``function`` is about to get its arguments."""
        if self.active:
            self._calls += 1
            self._stack.append(_Frame(node, function, self._calls, _body(sys._getframe(1))))
        return function

    def argument(self, node: int, value: Any) -> Any:
        """A positional argument."""
        if self.active:
            if self._stack[-1].function is sum and isinstance(value, Iterator):
                value = list(value)  # What it adds is looked at once it has.
            self._stack[-1].args.append(value)
            self._display(node, value)
        return value

    def keyword(self, node: int, name: str, value: Any) -> Any:
        """A keyword argument."""
        if self.active:
            self._stack[-1].kwargs[name] = value
            self._display(node, value)
        return value

    def _display(self, node: int, value: Any) -> None:
        """Remember where a list of numbers was first handed on: it may arrive at a call elsewhere."""
        if type(value) in (list, tuple) and value and all(type(v) is int for v in value):
            self._displays.setdefault(id(value), (node, self._stack[-1].node, value))

    def _origins(self, node: int | None, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[int | str, int]:
        found: dict[int | str, int] = {}
        given: dict[int | str, Any] = dict(enumerate(args))
        given.update(kwargs)
        for key, value in given.items():
            origin = self._displays.get(id(value))
            if origin is not None and origin[1] != node:
                found[key] = origin[0]
        return found

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
        if type(value) in (int, bool):
            self._place(frame.node, 3)
        kind = _unwrapped(frame.function)
        layer = self.probe.layer_path(value) if isinstance(kind, type) else None
        if layer is not None:
            recording.constructed[id(value)] = frame.node
        elif isinstance(kind, type) and self.probe.is_module(value):
            recording.instantiated[id(value)] = frame.node
            self._alive.append(value)
        if layer is not None or id(value) in recording.instantiated:
            recording.chains[id(value)] = tuple(self._link(f) for f in (*self._stack, frame))
        self._started(frame)
        path = self.probe.layer_path(frame.function)
        found = self.probe.inherited(frame.function) if path is None else (path, frame.function)
        if found is not None:
            self.event(frame.node, found[0], tuple(frame.args), frame.kwargs, value, instance=found[1])
            return
        path = self.probe.path(frame.function)
        if path is None:
            self._numbers(frame, value)
            if frame.function is sum and self._is_tensor(value):
                self.event(frame.node, "operator.sum", (list(frame.args[0]),), {}, value)
            return
        receiver = getattr(frame.function, "__self__", None)
        args, kwargs = tuple(frame.args), frame.kwargs
        if isinstance(frame.function, functools.partial):
            args, kwargs = (*frame.function.args, *args), {**frame.function.keywords, **kwargs}
        if receiver is not None and not isinstance(receiver, type) and not hasattr(receiver, "__spec__"):
            stands = self.probe.array(receiver)
            args = (*stands, *args) if isinstance(stands, tuple) and stands is not receiver else (receiver, *args)
        self.event(frame.node, path, args, kwargs, value)

    def _started(self, frame: _Frame) -> None:
        """Remember where a stock layer's constructor was called for an instance of a class that extends it."""
        owner = getattr(frame.function, "__self__", None)
        if getattr(frame.function, "__name__", "") != "__init__" or owner is None or isinstance(owner, type):
            return
        path = self.probe.layer_path(owner)
        if path is not None:
            chain = tuple(self._link(f) for f in (*self._stack, frame))
            self.recording.based.setdefault(id(owner), (frame.node, chain, path))

    def _numbers(self, frame: _Frame, value: Any) -> None:
        """Remember the numbers that a function of the user's was given."""
        code = getattr(frame.function, "__code__", None)
        if code is None:
            return
        self.recording.calls.setdefault(frame.node, []).append(frame.serial)
        bound = isinstance(frame.function, types.MethodType)
        names = code.co_varnames[bound : code.co_argcount]
        defaults = getattr(frame.function, "__defaults__", None) or ()
        found = dict(zip(reversed(names), reversed(defaults), strict=False))
        found |= dict(zip(names, frame.args, strict=False)) | frame.kwargs
        numbers = self._makers.get(id(frame.function), {}) | {n: v for n, v in found.items() if type(v) is int}
        maker = self._made_by.get(id(frame.function))
        if maker is not None:
            self.recording.made_by[frame.serial] = maker
        if callable(value) and hasattr(value, "__code__"):
            self._made_by[id(value)] = frame.serial
            self._alive.append(value)
        if numbers:
            self.recording.given[frame.serial] = numbers
            if callable(value) and hasattr(value, "__code__"):
                self._makers[id(value)] = numbers
                self._alive.append(value)

    def _link(self, frame: _Frame) -> Link:
        instance = id(frame.function) if self.probe.is_module(frame.function) else 0
        return Link(frame.node, frame.serial, frame.body, instance)

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
            recording.constructed.get(identity) if identity is not None else None, self._origins(node, args, kwargs),
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
            if type(value) is int:
                self._place(node)
        return value

    def attribute(self, node: int, owner: Any, name: str) -> Any:
        """An attribute was read."""
        value = getattr(owner, name)
        if self.active:
            self._keep(node, value)
            if self.probe.is_tensor(owner):
                self.event(
                    node,
                    self.probe.path(type(owner)) or "",
                    (owner,),
                    {"attribute": self.probe.tensor_path(name)},
                    value,
                )
        return value

    def subscript(self, node: int, owner: Any, index: Any) -> Any:
        """An item was read."""
        value = owner[index]
        if self.active:
            self._keep(node, value)
            if type(value) is int:
                self._place(node)
            if self.probe.is_tensor(owner):
                self.event(node, "operator.getitem", (owner, index), {}, value)
        return value

    def _place(self, node: int, depth: int = 2) -> None:
        """Remember the calls within which a number was read or computed."""
        if len(kept := self.recording.within.setdefault(node, [])) < _LIMIT:
            here = Link(node, 0, _body(sys._getframe(depth)))
            kept.append((*map(self._link, self._stack), here))

    def binary(self, node: int, name: str, left: Any, right: Any) -> Any:
        """A binary operator."""
        return self._operated(node, f"operator.{name}", _BINARY[name](left, right), left, right)

    def compare(self, node: int, name: str, left: Any, right: Any) -> Any:
        """A comparison."""
        operands = () if name.startswith("Is") else (left, right)  # Identity is nothing that a framework computes.
        return self._operated(node, f"operator.{name}", _COMPARE[name](left, right), *operands)

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
            if type(value) in (int, bool):
                self._place(node, 3)
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
            return self._tensor(self.probe.array(value))
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


def _body(frame: types.FrameType) -> int:
    """What stands for a run of a body; the identity of a frame alone may be that of one that has ended."""
    return hash((id(frame), id(frame.f_code)))


def _unwrapped(function: Any) -> Any:
    """What a ``partial`` calls."""
    while isinstance(function, functools.partial):
        function = function.func
    return function

"""Observed events in canonical terms: which op, with which tensors and attribute values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from netferry.ops import registry
from netferry.ops.binding import kind_holds, of_rank
from netferry.ops.core import REQUIRED, Conversion, OpDef, Signature, Spelling
from netferry.pivot.facts import Event, Tensor

_OPERATORS = {"operator.getitem": "index", "operator.setitem": "setitem", "operator.MatMult": "matmul"}

_CONTAINERS = ("Sequential", "ModuleList", "Functional", "Model")
"""What only calls others, which report themselves."""


@dataclass
class Use:
    """One observed op application.

    Attributes:
        rule: the layout rule's name.
        operands: canonical operand name -> tensor fact, or a list of them.
        results: the tensors that came out, flattened.
        site: the node where operands can be converted (the call), None inside a container.
        made: the node where the layer was constructed.
    """

    op: str
    rule: str
    operands: dict[str, Any]
    attributes: dict[str, Any]
    result: Any
    site: int | None
    made: int | None = None
    instance: int | None = None
    inplace: bool = False
    event: Event | None = field(default=None, repr=False)

    @property
    def results(self) -> list[Tensor]:
        """The output tensors, flattened."""
        return list(tensors(self.result))

    @property
    def where(self) -> tuple[str, int]:
        """What the edits of this use belong to."""
        if self.site is not None:
            return ("call", self.site)
        return ("made", self.made if self.made is not None else -1)


def tensors(value: Any) -> Iterator[Tensor]:
    """All tensor facts in a nested value."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors(item)


def uses(recording: Any) -> Iterator[Use]:
    """Every event that touches tensors, in order."""
    constructions = _constructions(recording)
    for event in recording.events:
        use = _use(event, constructions)
        if use is not None:
            yield use


def _constructions(recording: Any) -> dict[int, Event]:
    found: dict[int, Event] = {}
    for event in recording.events:
        if event.instance is None and not isinstance(event.result, Tensor | tuple | list | int | float | None):
            found[id(event.result)] = event
        base = recording.based.get(id(event.args[0])) if event.path.endswith(".__init__") and event.args else None
        if base is not None and base[0] == event.node:
            found[id(event.args[0])] = replace(event, path=base[2], args=event.args[1:])
    return found


def _use(event: Event, constructions: Mapping[int, Event]) -> Use | None:
    if event.path.startswith("operator."):
        rule = _OPERATORS.get(event.path, "elementwise")
        if event.path.startswith("operator.setitem"):
            rule = "setitem"
        names = ("x", "index", "value") if rule in ("index", "setitem") else ("x", "y")
        given = dict(zip(names, event.args, strict=False))
        return Use(event.path, rule, given, {}, event.result, event.node, event=event)
    if event.path.endswith((".Parameter", ".Buffer")):
        return Use(
            "parameter",
            "elementwise",
            {"x": event.args[0]} if event.args else {},
            {},
            event.result,
            event.node,
            event=event,
        )
    attribute = event.kwargs.get("attribute") if event.path else None
    path = str(attribute or event.path)
    rank = next((len(a.shape) for a in event.args[:1] if isinstance(a, Tensor)), None)
    for op, spelling in of_rank(registry.find(path), rank):
        made = constructions.get(event.instance) if event.instance is not None else None
        if event.instance is not None and made is None and event.construction is None and event.node is None:
            return None
        found = _bind(event, op, spelling, made, attribute is not None)
        if found is not None:
            return found
    if not any(True for _ in tensors((event.args, list(event.kwargs.values())))):
        return None
    if event.instance is not None and event.path.rpartition(".")[2] in _CONTAINERS:
        return None
    operands = {f"x{i}": a for i, a in enumerate(event.args)} | dict(event.kwargs)
    return Use(
        event.path, "opaque", operands, {}, event.result, event.node, event.construction, event.instance, event=event
    )


def _bind(event: Event, op: OpDef, spelling: Spelling, made: Event | None, is_attribute: bool) -> Use | None:
    if event.instance is not None:
        if not spelling.layer:
            return None
        if made is not None and not _kinds_hold(spelling, made):
            return None
        names = spelling.parsed_call.names
        operands = dict(zip(names, event.args, strict=False)) | dict(event.kwargs)
        operands = {_canonical(spelling, n): v for n, v in operands.items()}
        told = made is not None and any(other is op for other, _ in registry.find(made.path))
        attributes = _match(spelling.parsed, made.args, made.kwargs, spelling, op) if made and told else _defaults(op)
        if attributes is None:
            if len(registry.find(event.path)) > 1:
                return None  # Its arguments are those of another spelling.
            attributes = _defaults(op)
        return Use(
            op.name,
            op.layout,
            operands,
            attributes,
            event.result,
            event.node,
            event.construction,
            event.instance,
            event=event,
        )
    if spelling.layer:
        return None
    kwargs = {} if is_attribute else event.kwargs
    matched = _match(spelling.parsed, event.args, kwargs, spelling, op)
    if matched is None:
        return None
    overloaded = len({other.name for other, _ in registry.find(spelling.path)}) > 1
    operand_names = {p.name for p in op.operands}
    operands = {n: v for n, v in matched.items() if n in operand_names}
    for parameter in op.operands:
        if (
            parameter.default is REQUIRED
            and not any(True for _ in tensors(operands.get(parameter.name)))
            and parameter is op.operands[0]
        ):
            if op.layout != "create":
                return None
        elif parameter.name in operands and isinstance(operands[parameter.name], int) and overloaded:
            return None
    attributes = {n: v for n, v in matched.items() if n not in operand_names}
    unexpected = overloaded and "tensor" not in spelling.kinds.values()
    if unexpected and any(isinstance(v, Tensor) for v in attributes.values()):
        return None
    return Use(
        op.name, op.layout, operands, attributes, event.result, event.node, inplace=spelling.inplace, event=event
    )


def _kinds_hold(spelling: Spelling, made: Event) -> bool:
    """Whether a layer was made with arguments of the kinds that its spelling asks for."""
    given = dict(zip(spelling.parsed.names, made.args, strict=False)) | dict(made.kwargs)
    return all(kind_holds(kind, given[name]) for name, kind in spelling.kinds.items() if name in given)


def _canonical(spelling: Spelling, name: str) -> str:
    conversion = spelling.conversion(name)
    return conversion.attribute if conversion else name


def _defaults(op: OpDef) -> dict[str, Any]:
    return {p.name: p.default for p in op.attributes}


def _match(
    signature: Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any], spelling: Spelling, op: OpDef
) -> dict[str, Any] | None:
    given: dict[str, Any] = {}
    rest = list(args)
    for parameter in signature.parameters:
        if parameter.keyword_only:
            continue
        if parameter.variadic:
            single = len(rest) == 1 and isinstance(rest[0], list | tuple)
            if rest:
                given[parameter.name] = tuple(rest[0]) if single else tuple(rest)
            rest = []
        elif rest:
            given[parameter.name] = rest.pop(0)
    others = next((p.name for p in signature.parameters if p.variadic and p.keyword_only), None)
    if rest or (others is None and any(k not in signature for k in kwargs)):
        return None
    given |= {name: value for name, value in kwargs.items() if name in signature}
    if not all(kind_holds(kind, given[name]) for name, kind in spelling.kinds.items() if name in given):
        return None
    found = _defaults(op) | dict(spelling.implies)
    for parameter in signature.parameters:
        conversion = spelling.conversion(parameter.name)
        if conversion is None:
            continue
        if parameter.name in given:
            found[conversion.attribute] = _value(given[parameter.name], conversion)
        elif parameter.default is not REQUIRED:
            found[conversion.attribute] = _value(parameter.default, conversion)
        elif not parameter.variadic and conversion.attribute not in {p.name for p in op.operands if p.default is None}:
            return None
    return found


def _value(value: Any, conversion: Conversion) -> Any:
    rule = conversion.read
    if isinstance(rule, str):
        if rule == "{}" or isinstance(value, Tensor):
            return value
        try:
            return eval(rule.replace("{}", "value"), {"value": value})  # noqa: S307 - our own declarations
        except TypeError:
            return value
    try:
        return rule.get(value, value)
    except TypeError:
        return value


def _is_fixed(spelling: Spelling, event: Event) -> bool:
    """Whether the arguments that tell one op from another of the same class have the values of this one."""
    given = dict(zip(spelling.parsed.names, event.args, strict=False)) | dict(event.kwargs)
    return all(
        given.get(name, spelling.parsed[name].default) == wanted
        for name, wanted in spelling.fixed.items() if name in _TELLING
    )  # fmt: skip


_TELLING = frozenset({"scale", "center", "use_scale", "transpose_kernel"})


def layer_attributes(recording: Any) -> dict[int, tuple[OpDef, Spelling, dict[str, Any]]]:
    """Instance of a stock layer -> its op, spelling, and canonical attribute values as constructed."""
    found: dict[int, tuple[OpDef, Spelling, dict[str, Any]]] = {}
    for identity, event in _constructions(recording).items():
        for op, spelling in of_rank(registry.find(event.path), None):
            attributes = _match(spelling.parsed, event.args, event.kwargs, spelling, op) if spelling.layer else None
            if attributes is not None and _is_fixed(spelling, event):
                found[identity] = (op, spelling, attributes)
                break
    return found

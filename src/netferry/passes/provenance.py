"""Where the channels of a tensor come from: the layers that were told how many to give, as what they were told."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from netferry.ops import registry
from netferry.ops.lowering import substitute
from netferry.passes.layout.bound import layer_attributes
from netferry.pivot.copying import copied
from netferry.pivot.facts import Event, Tensor
from netferry.pivot.nodes import Op, constant
from netferry.walking import Transformer, walk

OUTPUTS = ("out_channels", "out_features", "hidden_size", "embedding_dim")
"""Attributes that say how many channels a layer gives."""
Terms = tuple[int, ...]
"""The layers whose channels a tensor has, one behind the other; empty where that is not known."""
Chain = tuple[Any, ...]
"""The calls within which something was done, outermost first, its own last."""
_FOLDED = {ast.Add: int.__add__, ast.Mult: int.__mul__, ast.Sub: int.__sub__, ast.FloorDiv: int.__floordiv__}


class Provenance:
    """Traces tensors back to the layers that gave them their channels."""

    def __init__(self, recording: Any, channels_last: bool) -> None:
        self.recording = recording
        self.axis = -1 if channels_last else 1
        self.ops: dict[int, tuple[Op, list[ast.AST]]] = {}
        """Site -> the layer made there, and the functions and loops around it."""
        self.calls: dict[int, ast.Call] = {}
        self.scopes: dict[int, list[ast.AST]] = {}
        self.functions: dict[str, ast.FunctionDef] = {}
        self.widths: dict[int, int] = {}
        self.terms: dict[int, Terms] = {}
        self.before: dict[int, Terms] = {}
        """Layer -> the layers that gave the channels that it is called with."""
        self.made = layer_attributes(recording)
        self.order = {identity: position for position, identity in enumerate(recording.constructed)}
        for event in recording.events:
            self._trace(event)

    def _trace(self, event: Event) -> None:
        result = next(tensors(event.result), None)
        if result is None or not result.shape or result.identity in self.terms:
            return
        if event.instance is not None and _gives(event.path):
            width = self._told_width(event.instance) or self._width(result)
            self.widths[event.instance] = width
            before = next((self.terms.get(t.identity, ()) for t in tensors([*event.args, *event.kwargs.values()])), ())
            self.before.setdefault(event.instance, before)
            for given in tensors(event.result):  # Recurrent layers give their states too, in both directions both.
                count, rest = divmod(self._width(given), width) if given.shape else (0, 0)
                self.terms[given.identity] = () if rest else (event.instance,) * count
            return
        operands = [t for t in tensors([*event.args, *event.kwargs.values()]) if t.shape]
        if any(t.identity == result.identity for t in operands):
            return
        parts = [self.terms.get(t.identity, ()) for t in operands]
        if len(operands) > 1 and sum(map(self._width, operands)) == self._width(result):
            self.terms[result.identity] = tuple(i for part in parts for i in part) if all(parts) else ()
            return
        same = (p for t, p in zip(operands, parts, strict=True) if p and self._width(t) == self._width(result))
        self.terms[result.identity] = next(same, ())

    def _told_width(self, instance: int) -> int:
        """How many channels a layer, or the one that it wraps, was told to give; 0 where that is not known."""
        _, _, attributes = self.made.get(instance, (None, None, {}))
        if "layer" in attributes:
            return self._told_width(id(attributes["layer"]))
        return next((v for name in OUTPUTS if isinstance(v := attributes.get(name), int)), 0)

    def _width(self, tensor: Tensor) -> int:
        return tensor.shape[self.axis if len(tensor.shape) > 2 else -1]

    def takes_more(self, function: ast.FunctionDef, called: str) -> None:
        """A function has got one more parameter: the constructor that stands for its class has it too."""
        if function.name == "__init__" and called in self.functions:
            self.functions[called] = as_called(function, called)

    # -- as expressions ------------------------------------------------------------------------------------------

    def expression(self, terms: Terms, chain: Chain, at: int, *, earlier: bool = False) -> ast.expr | None:
        """The channels of ``terms`` in the words of the body that the chain ends in; ``at``: who needs them.

        ``earlier``: as of the end of the round of the loop before.
        """
        parts = [self._term(i, chain, at, earlier) for i in terms]
        known = [p for p in parts if p is not None]
        return total(known) if known and len(known) == len(parts) else None

    def _term(self, instance: int, chain: Chain, at: int, earlier: bool) -> ast.expr | None:
        if self.before.get(instance) and self._keeps(instance):
            return self.expression(self.before[instance], chain, at, earlier=earlier)
        theirs = self.recording.chains.get(instance, ())
        start = runner(chain) + 1
        if not chain or [k.serial for k in theirs[:start]] != [k.serial for k in chain[:start]]:
            return None
        inside = [i for i, link in enumerate(theirs) if i >= start and link.body == chain[-1].body]
        if not inside:
            return None
        last = inside[-1]
        made_at = theirs[last].node
        if last == len(theirs) - 1:
            return self._told(instance, at, earlier)
        found = self._through(instance, theirs[: last + 2], made_at)
        if found is None or (not earlier and self._has_changed(found, made_at, at)):
            return constant(self.widths[instance])
        return found

    def _keeps(self, instance: int) -> bool:
        """Whether a layer was told to give as many channels as it gets."""
        op, _ = self.ops.get(self.recording.constructed.get(instance, -1), (None, []))
        given = _given(op) if op is not None else None
        return isinstance(given, Op) and given.name == "input_size"

    def _has_changed(self, found: ast.expr, made_at: int, at: int) -> bool:
        """Whether a loop around a call has bound its words anew before the site that needs them."""
        loops = [s for s in self.scopes.get(made_at, []) if isinstance(s, ast.For)]
        others = self.scopes.get(at, [])
        left = [s for s in loops if s not in others or made_at > at]
        return bool(_names(found) & _stored(left, ()))

    def _told(self, instance: int, at: int, earlier: bool) -> ast.expr | None:
        """What a layer of the same body was told to give, where the words still mean the same."""
        op, scopes = self.ops.get(self.recording.constructed.get(instance, -1), (None, []))
        given = _given(op) if op is not None else None
        if given is None:
            return constant(self.widths[instance]) if instance in self.widths and op is not None else None
        given = _Said().visit(copied(given))
        if any((isinstance(n, ast.Constant) and isinstance(n.value, float)) or isinstance(n, Op) for n in walk(given)):
            return None
        loop = next((s for s in reversed(scopes) if isinstance(s, ast.For)), None)
        changing = _stored([loop], ()) if loop is not None else set()
        names = _names(given)
        if names & changing and not earlier and self._is_later_round(instance, at, scopes):
            return None
        function = next((s for s in reversed(scopes) if isinstance(s, ast.FunctionDef)), None)
        line = getattr(op, "lineno", 0)
        if function is not None and any(n in names and at_line >= line for n, at_line in _stores(function)):
            return None
        return copied(given)  # type: ignore[no-any-return]

    def _is_later_round(self, instance: int, at: int, scopes: Sequence[ast.AST]) -> bool:
        """Whether the loop around a layer has begun another round, or ended, before the site that needs it."""
        site = self.recording.constructed[instance]
        _, others = self.ops.get(at, (None, []))
        loop = next((s for s in reversed(scopes) if isinstance(s, ast.For)), None)
        return loop not in others or site > at

    def _through(self, instance: int, chain: Chain, site: int) -> ast.expr | None:
        """What a layer made in a called function was told, in the words of the caller."""
        inner = self._term(instance, chain, -1, earlier=False)
        call = self.calls.get(site)
        names = {getattr(c, "__name__", "") for c in self.recording.callees.get(site, ())}
        function = self.functions.get(names.pop()) if len(names) == 1 else None
        if inner is None or call is None or function is None:
            return None
        given = arguments(function, call)
        if any(n not in given for n in _names(inner)) or _names(inner) & set(_counts(function, parameters=False)):
            return None
        return folded(substitute(inner, {n: copied(given[n]) for n in _names(inner)}))


def runner(chain: Chain) -> int:
    """Where in a chain the call is that runs the body at its end; -1 where none does."""
    if not chain:
        return -1
    return next((i for i in range(len(chain) - 2, -1, -1) if chain[i].body != chain[-1].body), -1)


def arguments(function: ast.FunctionDef, call: ast.Call) -> dict[str, ast.expr]:
    """What a call gives for the parameters of a function, defaults included."""
    names = [a.arg for a in function.args.args]
    found: dict[str, ast.expr] = dict(zip(reversed(names), reversed(function.args.defaults), strict=False))
    only = zip([a.arg for a in function.args.kwonlyargs], function.args.kw_defaults, strict=True)
    found |= {name: default for name, default in only if default is not None}
    if any(isinstance(a, ast.Starred) for a in call.args) or any(k.arg is None for k in call.keywords):
        return {}
    return found | dict(zip(names, call.args, strict=False)) | {k.arg: k.value for k in call.keywords if k.arg}


class _Said(Transformer):
    """Sizes of tensors as they are said already."""

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        value = getattr(node, "nf_value", None)
        return self.generic_visit(node) if value is None else copied(value)


def total(parts: Sequence[ast.expr]) -> ast.expr:
    """The sum of expressions, equal ones counted and numbers added up."""
    number = sum(p.value for p in parts if isinstance(p, ast.Constant) and isinstance(p.value, int))
    counted: dict[str, tuple[int, ast.expr]] = {}
    for part in (p for p in parts if not isinstance(p, ast.Constant)):
        text = ast.unparse(part)
        counted[text] = (counted.get(text, (0, part))[0] + 1, part)
    made = [p if n == 1 else ast.BinOp(constant(n), ast.Mult(), p) for n, p in counted.values()]
    if number or not made:
        made.append(constant(number))
    whole = made[0]
    for part in made[1:]:
        whole = ast.BinOp(whole, ast.Add(), part)
    return whole


def folded(node: ast.expr) -> ast.expr:
    """An expression with what is known of it computed."""

    class Fold(Transformer):
        def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
            self.generic_visit(node)
            match node:
                case ast.BinOp(left=ast.Constant(value=int(a)), op=op, right=ast.Constant(value=int(b))):
                    if type(op) in _FOLDED and (b or not isinstance(op, ast.FloorDiv)):
                        return constant(_FOLDED[type(op)](a, b))
            return node

    made: ast.expr = Fold().visit(copied(node))
    return made


def tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in a value, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors(item)


def _gives(path: str) -> bool:
    told = {*OUTPUTS, "layer"}
    return any(s.layer and any(a.name in told for a in op.attributes) for op, s in registry.find(path))


def _given(op: Op) -> ast.expr | None:
    wrapped = op.attribute("layer")
    if isinstance(wrapped, Op):
        return _given(wrapped)
    found = (op.attribute(name) for name in OUTPUTS)
    return next((g for g in found if g is not None), None)


def _names(node: ast.AST) -> set[str]:
    """The names and the attributes of ``self`` in an expression."""
    found = {n.id for n in walk(node) if isinstance(n, ast.Name)}
    return found | {f"self.{n.attr}" for n in walk(node) if isinstance(n, ast.Attribute) and _is_own(n)}


def _is_own(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "self"


def _counts(function: ast.FunctionDef, *, parameters: bool = True) -> dict[str, int]:
    """How often a function binds each name."""
    found: dict[str, int] = {}
    for node in walk(function):
        name = node.arg if isinstance(node, ast.arg) and parameters else None
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            name = node.id
        if name is not None:
            found[name] = found.get(name, 0) + 1
    return found


def _stores(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The names and the attributes of ``self`` that are bound, with their lines."""
    for node in walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            line = getattr(node, "lineno", 0)
            if isinstance(node, ast.Name):
                yield node.id, line
            elif _is_own(node):
                yield f"self.{node.attr}", line


def _stored(trees: Iterable[ast.AST], without: Iterable[str]) -> set[str]:
    found = {name for t in trees for name, _ in _stores(t)}
    return found - set(without)


def constructor(node: ast.ClassDef) -> ast.FunctionDef | None:
    """What a call of a class runs, with the arguments that it is given."""
    init = next((s for s in node.body if isinstance(s, ast.FunctionDef) and s.name == "__init__"), None)
    return None if init is None or not init.args.args else as_called(init, node.name)


def as_called(init: ast.FunctionDef, name: str) -> ast.FunctionDef:
    """A constructor as those see it who call its class."""
    taken = init.args
    own = ast.arguments(
        [], taken.args[1:], taken.vararg, taken.kwonlyargs, taken.kw_defaults, taken.kwarg, taken.defaults
    )
    return ast.FunctionDef(name=name, args=own, body=init.body, decorator_list=[], returns=None)

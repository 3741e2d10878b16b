"""Splits the body of a function that makes and applies layers into what makes them and what applies them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from netferry.ops import registry
from netferry.passes.held import called, held
from netferry.passes.lifted_names import Namer
from netferry.passes.living import alive, branch, loads, needed, stores
from netferry.passes.split_nodes import Rounds, Shared, Swap, single, undecided, without_checks
from netferry.pivot.copying import copied
from netferry.pivot.nodes import Hole, LayerCall, Op
from netferry.pivot.render import comments_of
from netferry.walking import Transformer, walk


def _take_comments(original: ast.stmt, taking: Sequence[ast.stmt]) -> None:
    comments = comments_of(original)
    if taking and comments:
        taking[0].nf_comment = comments  # type: ignore[attr-defined]


@dataclass
class Split:
    """Both halves of a body."""

    init: list[ast.stmt] = field(default_factory=list)
    forward: list[ast.stmt] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    """The names of symbolic inputs, in the order in which the network takes them."""
    model: str = ""
    """The name that the network was given."""
    shared: list[str] = field(default_factory=list)
    """Names that the first half has and the second needs."""
    made: set[str] = field(default_factory=set)


def is_application(node: ast.AST) -> bool:
    """Whether a node applies a layer that is made right there, or makes a graph."""
    if isinstance(node, Op) and node.name in ("functional_model", "symbolic_input"):
        return True
    if isinstance(node, LayerCall):
        return isinstance(node.callee, Op | ast.Call)
    return isinstance(node, ast.Call) and isinstance(node.func, Op) and node.func.layer


class Splitter:
    """Works through a body statement by statement."""

    owns = False
    """Whether variables that the network owns are made with its layers."""

    def __init__(
        self, lifted: Mapping[str, Any], labels: Mapping[int, ast.expr], namer: Namer, tensors: set[str],
        parameters: set[str], rounds: Callable[[ast.For], int | None] = lambda loop: None,
        classes: Collection[str] = (),
    ) -> None:  # fmt: skip
        self.classes = classes
        """The classes of layers that the source has itself."""
        self.twins: dict[str, int] = {}
        """Names that hold layers in the branch before this one -> their numbers."""
        self.called: set[str] = set()
        """Names that are called."""
        self.several: set[str] = set()
        """Names that hold networks which take a list of inputs."""
        self.held: set[str] = set()
        """Lists of layers."""
        self.absent: set[str] = set()
        """Parameters that are None where the network makes its own inputs."""
        self.lifted = lifted
        self.labels = labels
        self.namer = namer
        self.dynamic = set(tensors)
        self.parameters = parameters
        self.layers: dict[str, int] = {}
        """Local names that hold layers -> their numbers."""
        self.split = Split()
        self.loop = 0
        self.plural: set[int] = set()
        self.done = False
        self.changing: set[str] = set()
        """Names that are bound to tensors somewhere."""
        self.filled: set[str] = set()
        """Lists and dicts that tensors are put into."""
        self.rounds = rounds
        self.callees: Mapping[int, Any] | None = getattr(getattr(rounds, "recording", None), "callees", None)

    def body(self, statements: Sequence[ast.stmt]) -> Split:
        """Both halves of the whole body."""
        split = self.split
        self.filled = self._filled(statements)
        self.changing = {
            n for s in statements for a in walk(s) if isinstance(a, ast.Assign) and self._tells(a) for n in stores(a)
        }
        self.called = called(statements)
        self.held = held(statements)
        split.init, split.forward = self._block(statements)
        split.inputs = [n for n in split.inputs if n]
        split.forward = needed(split.forward)
        names = self.namer.settle(self._taken(), self.plural)
        split.made = set(names.values())
        rounds = Rounds(names, self.dynamic | self.parameters)
        split.forward = [rounds.visit(s) for s in split.forward]
        split.init = alive(split.init, loads(split.forward) - {n for s in split.forward for n in stores(s)})
        split.init = [Shared(self.held).visit(s) for s in split.init]
        split.forward = [Shared(self.held).visit(s) for s in split.forward]
        local = {n for s in split.forward for n in stores(s)} | set(split.inputs) | self._tensors(split)
        static = self.parameters | {n for s in split.init for n in stores(s)}
        split.shared = sorted((loads(split.forward) & static) - local)
        split.forward = [Shared(set(split.shared)).visit(s) for s in split.forward]
        return split

    def _filled(self, statements: Sequence[ast.stmt]) -> set[str]:
        """The containers that something which depends on tensors is put into, anywhere."""
        dynamic = set(self.dynamic)
        found: set[str] = set()
        nodes = [n for s in statements for n in walk(s)]
        for _ in range(3):
            for node in nodes:
                match node:
                    case ast.Assign(value=value) if self.is_dynamic(value) or loads(value) & dynamic:
                        dynamic |= stores(node)
                    case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append" | "extend" | "insert")):
                        if any(self.is_dynamic(a) or loads(a) & dynamic for a in node.args):
                            found.add(name)
                            dynamic.add(name)
        return found

    def _tells(self, node: ast.Assign) -> bool:
        """Whether an assignment was seen to bind a tensor, or applies a layer."""
        return any(is_application(n) or self._lifted_call(n) is not None for n in walk(node.value))

    def _tensors(self, split: Split) -> set[str]:
        return self.dynamic - self.parameters

    def _taken(self) -> set[str]:
        return set(self.parameters) | {"training", "forward"}

    # -- statements ----------------------------------------------------------------------------------------------

    def is_dynamic(self, node: ast.AST) -> bool:
        """Whether something depends on tensors."""
        return any(is_application(n) or self._lifted_call(n) is not None for n in walk(node)) or bool(
            loads(node) & self.dynamic
        )

    def _block(self, statements: Sequence[ast.stmt]) -> tuple[list[ast.stmt], list[ast.stmt]]:
        init: list[ast.stmt] = []
        forward: list[ast.stmt] = []
        for statement in statements:
            if self.done:
                break
            made, applied = self._statement(statement)
            _take_comments(statement, applied or made)
            init += made
            forward += applied
        return init, forward

    def _statement(self, node: ast.stmt) -> tuple[list[ast.stmt], list[ast.stmt]]:
        if any(isinstance(n, Op) and n.name == "symbolic_input" for n in walk(node)):
            return self._input(node)
        match node:
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                return [], []
            case ast.FunctionDef() | ast.ClassDef():
                return [node], []
            case ast.Assign(targets=[ast.Name(id=name)], value=Op(name="functional_model") as graph):
                self.split.model = name
                return self._graph(graph)
            case (
                ast.Return(value=Op(name="functional_model") as graph)
                | ast.Expr(value=Op(name="functional_model") as graph)
            ):
                return self._graph(graph)
            case ast.If(test=test) if (answer := self._absent(test)) is not None:
                return self._block(node.body if answer else node.orelse)
            case ast.If():
                return self._if(node)
            case ast.For():
                return self._for(node)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.List() as value) if name in self.held:
                target = ast.Attribute(ast.Name("self", ast.Load()), name, ast.Store())
                return [_set(target, Op("module_list", {"modules": value}, layer=True))], []
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if self._is_layer(value) and name in self.called:
                return [self._named(name, value)], []
            case ast.Expr(value=Op(name="append_to_sequence")) if loads(node) & self.layers.keys():
                return [_Owned(self).visit(node)], []
        if stores(node) & self.filled and isinstance(node, ast.Assign):
            self.dynamic |= stores(node) & self.filled
            return [], [node]
        if not self.is_dynamic(node):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and stores(node) & self.changing:
                return [node], [copied(node)]  # ``previous = None`` before the rounds of a loop.
            return ([node], []) if not isinstance(node, ast.Return) else ([], [])
        return self._apply(node)

    def _is_layer(self, value: ast.expr) -> bool:
        return (isinstance(value, Op) and value.layer) or self._makes(value)

    def _named(self, name: str, value: ast.expr) -> ast.stmt:
        """A layer that a variable holds; in two branches, it is one attribute."""
        number = self.twins.get(name)
        if number is None:
            number = self.namer.place(value, self._label(value) or ast.Constant(name))
        else:
            self.namer.rename(number, name)
        self.layers[name] = number
        if self._takes_several(value):
            self.several.add(name)
        return self._made(number, value)

    def _takes_several(self, maker: ast.expr) -> bool:
        """Whether what makes a layer is a function for a network with several inputs, which takes them as a list."""
        found = (
            self.lifted.get(maker.func.id) if isinstance(maker, ast.Call) and isinstance(maker.func, ast.Name) else None
        )
        graphs = (
            [n for n in walk(found.node) if isinstance(n, Op) and n.name == "functional_model"]
            if found is not None
            else []
        )
        given = [g.operand("inputs") for g in graphs]
        return any(isinstance(g, ast.List | ast.Tuple) and len(g.elts) > 1 for g in given)

    def _input(self, node: ast.stmt) -> tuple[list[ast.stmt], list[ast.stmt]]:
        """Where inputs come in: they are arguments of the forward pass."""
        if isinstance(node, ast.Assign) and not (isinstance(node.value, Op) and node.value.name == "symbolic_input"):
            name = next(iter(stores(node)), "inputs")
            hidden = next(n for n in walk(node) if isinstance(n, Op) and n.name == "symbolic_input")
            self.split.inputs.append("inputs")
            self.dynamic |= {"inputs", name}
            changed = Swap(hidden, ast.Name("inputs", ast.Load())).visit(node)
            return self._apply(changed)
        match node:
            case ast.If(test=ast.Compare(left=ast.Name(id=given), comparators=[ast.Constant(value=None)])):
                self.absent.add(given)
        names = sorted(stores(node))
        copies: list[ast.stmt] = []
        if isinstance(node, ast.Assign) and isinstance(node.targets[-1], ast.Name):  # ``x = inputs = Input(...)``
            self.dynamic |= set(names)
            names = [node.targets[-1].id]
            copies = [ast.Assign([t], ast.Name(names[0], ast.Load())) for t in node.targets[:-1]]
        for name in names:
            if name not in self.split.inputs:
                self.split.inputs.append(name)
            self.dynamic.add(name)
        return [], copies

    def _absent(self, test: ast.expr) -> bool | None:
        """The answer to ``tensor is None`` of an argument that the network's own inputs replace."""
        match test:
            case ast.Compare(left=ast.Name(id=name), ops=[op], comparators=[ast.Constant(value=None)]):
                return isinstance(op, ast.Is) if name in self.absent else None
        return None

    def _graph(self, node: Op) -> tuple[list[ast.stmt], list[ast.stmt]]:
        """``Model(inputs, outputs)`` ends the forward pass."""
        given, outputs = node.operand("inputs"), node.operand("outputs")
        members = list(given.elts) if isinstance(given, ast.List | ast.Tuple) else [given]
        names = [m.id for m in members if isinstance(m, ast.Name)]
        if names and len(names) == len(members) and set(names) <= set(self.split.inputs):
            self.split.inputs = names
        assert outputs is not None
        made, applied = self._apply(ast.Return(outputs))
        self.done = not self.loop
        return made, applied

    def _if(self, node: ast.If) -> tuple[list[ast.stmt], list[ast.stmt]]:
        if isinstance(node.test, ast.Constant):
            return self._block(node.body if node.test.value else node.orelse)
        dynamic = self.is_dynamic(node)
        if not dynamic and not any(self._is_layer(n) for n in walk(node) if isinstance(n, ast.expr)):
            return [node], []
        before, known, outer = set(self.dynamic), dict(self.layers), self.twins
        body_init, body = self._block(node.body)
        after = set(self.dynamic)
        self.dynamic = before | after
        self.twins = {n: k for n, k in self.layers.items() if known.get(n) != k}
        else_init, other = self._block(node.orelse)
        self.twins = outer
        init: list[ast.stmt] = []
        if loads(node.test) & before:
            body_init, else_init = without_checks(body_init), without_checks(else_init)
        if (body_init or else_init) and loads(node.test) & before:
            found = self.decided(node, body_init, else_init)
            init = [undecided(node)] if found is None else found
        elif body_init or else_init:
            init = [branch(copied(node.test), body_init, else_init)]
        forward: list[ast.stmt] = [branch(node.test, body, other)] if body or other else []
        return init, forward

    def decided(self, node: ast.If, body: list[ast.stmt], other: list[ast.stmt]) -> list[ast.stmt] | None:
        """What makes the layers of which the sizes of tensors tell whether they are made; None where that is not known."""
        return None

    def _for(self, node: ast.For) -> tuple[list[ast.stmt], list[ast.stmt]]:
        if not self.is_dynamic(node):
            return [node], []
        outer = self._static_loop(node)
        self.loop += 1
        if self.is_dynamic(node.iter):
            self.dynamic |= stores(node.target)
        first = len(self.namer.wanted)
        init, forward = self._block(node.body)
        self.loop -= 1
        numbers = [n for n in range(first, len(self.namer.wanted)) if n not in self.plural or self.loop == 0]
        mine = list(range(first, len(self.namer.wanted)))
        if self.loop:
            made = ast.For(*outer, init or [ast.Pass()], [])
            return ([made] if init else []), [ast.For(node.target, node.iter, forward or [ast.Pass()], [])]
        del numbers
        self.plural |= set(mine)
        lists: list[ast.stmt] = [
            _set(self._attribute(n, store=True), Op("module_list", {"modules": ast.List([], ast.Load())}, layer=True))
            for n in mine
        ]
        made = ast.For(*outer, init or [ast.Pass()], [])
        applied = self._iterated(node, mine, forward)
        return [*lists, *([made] if init else [])], applied

    def _static_loop(self, node: ast.For) -> tuple[ast.expr, ast.expr]:
        """The header of a loop as far as it depends on no tensors; else one that runs as often as the run did."""
        if not self.is_dynamic(node.iter):
            return copied(node.target), copied(node.iter)
        match node:
            case ast.For(target=ast.Tuple(elts=targets), iter=ast.Call(func=ast.Name(id="zip"), args=args)):
                kept = [(t, a) for t, a in zip(targets, args, strict=False) if not self.is_dynamic(a)]
                if len(kept) == 1:
                    return copied(kept[0][0]), copied(kept[0][1])
                if kept:
                    zipped = ast.Call(ast.Name("zip", ast.Load()), [copied(a) for _, a in kept], [])
                    return ast.Tuple([copied(t) for t, _ in kept], ast.Store()), zipped
        count = self.rounds(node)
        target: ast.expr = ast.Name("_", ast.Store())
        match node:
            case ast.For(
                target=ast.Tuple(elts=[ast.Name() as number, _]), iter=ast.Call(func=ast.Name(id="enumerate"))
            ):
                target = copied(number)
        times = ast.Call(ast.Name("range", ast.Load()), [ast.Constant(count)], [])
        return target, times if count is not None else copied(node.iter)

    def _iterated(self, node: ast.For, numbers: list[int], forward: list[ast.stmt]) -> list[ast.stmt]:
        """The loop that applies the layers: over the lists themselves where each round takes one of each."""
        if not numbers:
            return [ast.For(node.target, node.iter, forward, [])]
        node, forward = single(node, forward)
        once = [n for s in forward for n in walk(s) if isinstance(n, _Taken)]
        plain = all(isinstance(s, ast.Assign | ast.AugAssign | ast.Expr) for s in forward) and len(once) == len(numbers)
        names = {n: self._loop_name(n) for n in numbers}
        if not plain:
            starts: list[ast.stmt] = [
                _assign(names[n], ast.Call(ast.Name("iter", ast.Load()), [self._attribute(n)], [])) for n in numbers
            ]
            take = _Take({n: ast.Call(ast.Name("next", ast.Load()), [name], []) for n, name in names.items()})
            return [*starts, ast.For(node.target, node.iter, [take.visit(s) for s in forward], [])]
        body = [_Take(dict(names)).visit(s) for s in forward]
        needed = bool(stores(node.target) & loads(body))
        sources: list[ast.expr] = [*([node.iter] if needed else []), *(self._attribute(n) for n in numbers)]
        targets: list[ast.expr] = [*([node.target] if needed else []), *(_store(names[n]) for n in numbers)]
        if len(sources) == 1:
            return [ast.For(targets[0], sources[0], body, [])]
        return [ast.For(ast.Tuple(targets, ast.Store()), ast.Call(ast.Name("zip", ast.Load()), sources, []), body, [])]

    def _loop_name(self, number: int) -> ast.Name:
        """A placeholder: what the layer of a round is called follows from what the list is."""
        return ast.Name(f"__round_{number}__", ast.Load())

    def _apply(self, node: ast.stmt) -> tuple[list[ast.stmt], list[ast.stmt]]:
        """A statement that applies layers: those made in it are made before."""
        extract = _Extract(self, *_bound(node))
        made = extract.visit(node)
        if isinstance(made, ast.Assign | ast.AugAssign | ast.AnnAssign):
            self.dynamic |= stores(made)
            for name in stores(made):
                self.layers.pop(name, None)
        return extract.init, [made]

    # -- layers --------------------------------------------------------------------------------------------------

    def _lifted_call(self, node: ast.AST) -> Any:
        """The class that a call's function became, also where a variable holds it."""
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            return None
        if self._makes(node):
            return None
        if self.holds(node.func.id) and self.callees is not None:
            seen = {getattr(c, "__name__", "") for c in self.callees.get(getattr(node, "nf_id", -1), ())}
            known = [self.lifted[n] for n in seen if n in self.lifted and not self.lifted[n].is_factory]
            return known[0] if known and len(known) == len(seen) else None
        return self.lifted.get(node.func.id)

    def holds(self, name: str) -> bool:
        """Whether a name is that of a variable, be it called like a function that became a class."""
        return name in self.parameters or name not in self.lifted

    def _makes(self, node: ast.AST) -> bool:
        """Whether a call makes an instance of a class of layers that is not applied right there."""
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            return False
        found = self.lifted.get(node.func.id)
        return node.func.id in self.classes or (found is not None and found.is_factory)

    def _label(self, layer: ast.expr) -> ast.expr | None:
        for node in walk(layer):
            found = self.labels.get(getattr(node, "nf_id", -1))
            if found is not None:
                return found
        return None

    def _attribute(self, number: int, *, store: bool = False) -> ast.Attribute:
        made = self.namer.attribute(number)
        if store:
            made.ctx = ast.Store()
        return made

    def _made(self, number: int, layer: ast.expr) -> ast.stmt:
        """The statement that makes a layer: an attribute, or a member of a list inside a loop."""
        if isinstance(layer, ast.Call) and self._makes(layer) and layer.func.id in self.lifted:  # type: ignore[attr-defined]
            layer.func = ast.Name(self.lifted[layer.func.id].name, ast.Load())  # type: ignore[attr-defined]
        if not self.loop:
            return _set(self._attribute(number, store=True), layer)
        append = ast.Attribute(self._attribute(number), "append", ast.Load())
        return ast.Expr(ast.Call(append, [layer], []))

    def use(self, layer: ast.expr, label: ast.expr | None, result: str) -> tuple[ast.stmt, ast.expr]:
        """Where a layer is made, and what it is called by; ``result`` is the name that its result gets."""
        number = self.namer.place(layer, label, result)
        return self._made(number, layer), _Taken(number) if self.loop else self._attribute(number)


class _Taken(ast.expr):
    """The layer of this round of a loop; replaced once the loop is known."""

    _fields = ()

    def __init__(self, number: int = -1) -> None:
        super().__init__()
        self.number = number


class _Take(Transformer):
    def __init__(self, values: Mapping[int, ast.expr]) -> None:
        self.values = values

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, _Taken) and node.number in self.values:
            return copied(self.values[node.number])
        return super().generic_visit(node)


class _Owned(Transformer):
    """Variables that hold layers are attributes."""

    def __init__(self, splitter: Splitter) -> None:
        self.splitter = splitter

    def visit_Name(self, node: ast.Name) -> ast.AST:
        number = self.splitter.layers.get(node.id)
        return node if number is None else self.splitter._attribute(number)


class _Extract(Transformer):
    """Takes the layers out of a statement that applies them."""

    def __init__(self, splitter: Splitter, last: ast.expr | None = None, name: str = "") -> None:
        self.splitter = splitter
        self.init: list[ast.stmt] = []
        self.last = last
        """The application that the whole statement is about, whose result gets ``name``."""
        self.name = name

    def _use(self, layer: ast.expr, label: ast.expr | None, applied: ast.expr) -> ast.expr:
        result = self.name if applied is self.last else ""
        statement, callee = self.splitter.use(layer, label or self.splitter._label(layer), result)
        self.init.append(statement)
        return callee

    def visit_Op(self, node: Op) -> ast.AST:
        if self.splitter.owns and node.name in ("parameter", "buffer"):
            return self._use(node, None, node)
        return self.generic_visit(node)

    def visit_LayerCall(self, node: LayerCall) -> ast.AST:
        node.operands = [self.visit(k) for k in node.operands]
        if isinstance(node.callee, Op | ast.Call):
            layer, activation = _activated(node.callee)
            node.callee = self._use(layer, self.splitter._label(node.callee), node)
            return node if activation is None else _applied(activation, node)
        if isinstance(node.callee, ast.Name) and node.callee.id in self.splitter.layers:
            node.callee = self.splitter._attribute(self.splitter.layers[node.callee.id])
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        found = self.splitter._lifted_call(node)
        if found is not None:
            return self._of_lifted(node, found)
        if isinstance(node.func, Op) and node.func.layer:
            node.args = [self.visit(a) for a in node.args]
            layer, activation = _activated(node.func)
            node.func = self._use(layer, self.splitter._label(node.func), node)
            return node if activation is None else _applied(activation, node)
        if isinstance(node.func, ast.Call) and not self.splitter.is_dynamic(node.func):
            node.args = [self.visit(a) for a in _each(node.args, self.splitter._takes_several(node.func))]
            node.func = self._use(node.func, _keyword(node.func, "name"), node)
            return node
        if isinstance(node.func, ast.Name) and node.func.id in self.splitter.layers:
            node.args = _each(node.args, node.func.id in self.splitter.several)
            node.func = self.splitter._attribute(self.splitter.layers[node.func.id])
        self.generic_visit(node)
        return node

    def _of_lifted(self, node: ast.Call, found: Any) -> ast.AST:
        """A call of a function that became a class: made with its other arguments, called with its tensors."""
        names = [a.arg for a in found.node.args.args]
        tensors: list[ast.expr] = []
        args: list[ast.expr] = []
        for index, argument in enumerate(node.args):
            is_tensor = index < len(names) and names[index] in found.tensors
            (tensors if is_tensor else args).append(argument)
        keywords = [k for k in node.keywords if k.arg not in found.tensors]
        given = {k.arg: k.value for k in node.keywords if k.arg in found.tensors}
        tensors = [self.visit(t) for t in tensors]
        named = [ast.keyword(t, self.visit(given[t])) for t in found.tensors if t in given]
        while named and named[0].arg == found.tensors[len(tensors)]:
            tensors.append(named.pop(0).value)
        label = _keyword(node, "name") or _positional(node, names, "name")
        held = isinstance(node.func, ast.Name) and self.splitter.holds(node.func.id)
        maker = node.func if held else ast.Name(found.name, ast.Load())
        label = ast.Constant(ast.unparse(node.func)) if held else label
        layer = ast.Call(maker, args, keywords)
        return ast.copy_location(ast.Call(self._use(layer, label, node), tensors, named), node)


def _bound(node: ast.stmt) -> tuple[ast.expr | None, str]:
    """The application whose result a statement gives a name, behind functions of it, and that name."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            while isinstance(value, Op) and not value.layer and len(value.operands) == 1:
                value = value.operands[0].value
            return value, name
    return None, ""


def _activated(layer: ast.expr) -> tuple[ast.expr, Op | None]:
    """A layer, and the activation that it was made with."""
    listing = layer.operand("layers") if isinstance(layer, Op) and getattr(layer, "nf_pair", False) else None
    if not isinstance(layer, Op) or not isinstance(listing, ast.List):
        return layer, None
    *chain, activation = listing.elts
    if not isinstance(activation, Op) or registry.get(activation.name).has_parameters:
        return layer, None
    if len(chain) == 1:
        return chain[0], activation
    return Op("sequential", {"layers": ast.List(chain, ast.Load())}, layer=True, site=layer.site), activation


def _applied(activation: Op, x: ast.expr) -> Op:
    """An activation as a function of what a layer gives."""
    attributes = {k.arg or "": k.value for k in activation.attributes}
    name = registry.get(activation.name).operands[0].name
    return ast.copy_location(Op(activation.name, {name: x}, attributes, site=activation.site), x)


def _each(args: list[ast.expr], is_spread: bool) -> list[ast.expr]:
    """The members of the one list that is given, where each is an argument of its own."""
    match args:
        case [ast.List(elts=members) | ast.Tuple(elts=members)] if is_spread:
            return members
    return args


def _keyword(node: ast.Call, name: str) -> ast.expr | None:
    return next((k.value for k in node.keywords if k.arg == name), None)


def _positional(node: ast.Call, names: Sequence[str], wanted: str) -> ast.expr | None:
    index = names.index(wanted) if wanted in names else len(node.args)
    return node.args[index] if index < len(node.args) else None


def _set(target: ast.expr, value: ast.expr) -> ast.stmt:
    return ast.Assign([target], value)


def _assign(name: ast.Name, value: ast.expr) -> ast.stmt:
    return ast.Assign([_store(name)], value)


def _store(name: ast.Name) -> ast.expr:
    return ast.Name(name.id, ast.Store())


__all__ = ["Hole", "Split", "Splitter", "is_application", "loads", "stores"]

"""Functional graphs lifted to modules: functions that make layers and apply them become classes.

What such a function does falls in two: layers are made (``__init__``), and applied (``forward``). Both keep the function's
loops and branches. Its tensors become the arguments of ``forward``, its other arguments those of ``__init__``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from netferry.ops import registry
from netferry.passes import builders, docstrings, factories, graph_classes
from netferry.passes.lifted_names import Namer, class_name
from netferry.passes.splitting import Split, Splitter, is_application, loads, stores
from netferry.pivot.copying import copied
from netferry.pivot.facts import Tensor
from netferry.pivot.nodes import Hole, LayerCall, Op, Reference
from netferry.pivot.program import Definition, Program
from netferry.walking import Transformer, walk

_MODULE = "__module__"


@dataclass
class Lifted:
    """A function that becomes a class."""

    node: ast.FunctionDef
    name: str
    tensors: list[str]
    """Its parameters that are tensors."""
    is_valued: bool = False
    """Whether it is handed on, to be called by who gets it: then it takes all that they give."""
    is_factory: bool = False
    """Whether it returned what applies the layers, a function or a network, so that calling it makes an instance."""


def lift(program: Program) -> Program:
    """Turn every function of ``program`` that applies layers it makes into a class."""
    functions = _functions(program)
    before = {name: {a.arg for a in walk(node.args) if isinstance(a, ast.arg)} for name, node in functions.items()}
    made_by = factories.find(functions, _applying(functions))
    for name, inner in made_by.items():
        factories.join(functions[name], inner)
        functions.pop(inner.name, None) if functions.get(inner.name) is inner else None
    chosen = _chosen(functions, program, set(made_by))
    top = _top_level(program)
    graphs = [c for c in program.classes() if graph_classes.graph_of(c) is not None]
    if not chosen and not top and not graphs:
        return program
    taken = {name for d in program.definitions for name in d.names}
    lifted: dict[str, Lifted] = {}
    for name in chosen:
        node = functions[name]
        made = class_name(name, taken)
        taken.add(made)
        tensors = [a.arg for a in made_by[name].args.args] if name in made_by else _tensor_parameters(node, program)
        lifted[name] = Lifted(node, made, tensors, is_factory=name in made_by or _is_network(node))
    labels = getattr(program.facts, "labels", {})
    for name in _valued(program) & lifted.keys():
        lifted[name].is_valued = True
    changer = _Change(lifted, labels, program)
    for definition in program.definitions:
        definition.node = changer.visit(definition.node)
    if top:
        _lift_top(program, top, lifted, labels, taken)
    program.construction = _Renamed(lifted).visit(program.construction)
    _trim(program, lifted)
    builders.trim(program, {f.name for f in lifted.values()}, _without, _give)
    _document(program, lifted)
    docstrings.prune_shared(program, before | {f.name: before[name] for name, f in lifted.items()})
    program.definitions[:] = _reached(program)
    left = {id(n) for d in program.definitions for n in walk(d.node) if isinstance(n, Hole)}
    program.holes = [h for h in program.holes if id(h) in left]
    return replace(program, definitions=[replace(d, names=_names(d)) for d in program.definitions])


def has_graphs(program: Program) -> bool:
    """Whether a network is described as a graph, between symbolic tensors."""
    return any(_is_graph(n) for d in program.definitions for n in walk(d.node))


def _valued(program: Program) -> set[str]:
    """The names that are read otherwise than to call them."""
    nodes = [n for d in program.definitions for n in walk(d.node)]
    called = {id(n.func) for n in nodes if isinstance(n, ast.Call)}
    return {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and id(n) not in called}


def _reached(program: Program) -> list[Definition]:
    """The definitions that the network still needs."""
    wanted = loads(program.construction)
    while True:
        kept = [d for d in program.definitions if not _bound(d) or _bound(d) & wanted]
        more = {n for d in kept for n in loads(d.node)} - wanted
        if not more:
            return kept
        wanted |= more


def _bound(definition: Definition) -> set[str]:
    return set(_names(definition)) | (
        stores(definition.node) if not isinstance(definition.node, ast.ClassDef | ast.FunctionDef) else set()
    )


def _names(definition: Definition) -> tuple[str, ...]:
    node = definition.node
    return (node.name,) if isinstance(node, ast.ClassDef | ast.FunctionDef) else definition.names


def _functions(program: Program) -> dict[str, ast.FunctionDef]:
    """All functions that are no methods, by name (nested ones too)."""
    found: dict[str, ast.FunctionDef] = {}
    waiting: list[ast.AST] = [d.node for d in program.definitions]
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.FunctionDef):
            found[node.name] = node
        if not isinstance(node, ast.ClassDef):
            waiting.extend(c for c in ast.iter_child_nodes(node) if isinstance(c, ast.stmt))
    return found


def _applying(functions: dict[str, ast.FunctionDef]) -> set[int]:
    """The functions that apply layers which they make."""
    return {id(node) for node in functions.values() if any(is_application(n) for n in _own(node)) or _calls_own(node)}


def _calls_own(function: ast.FunctionDef) -> bool:
    """Whether a function calls a layer that it has made and given a name."""
    held: set[str] = set()
    for node in _own(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=Op(layer=True) as made) if registry.get(
                made.name
            ).has_parameters:
                held.add(name)
    callees = [
        n.func if isinstance(n, ast.Call) else n.callee for n in _own(function) if isinstance(n, ast.Call | LayerCall)
    ]
    return any(isinstance(c, ast.Name) and c.id in held for c in callees)


def _is_network(node: ast.FunctionDef) -> bool:
    """Whether a function returns a whole network, with inputs of its own, to be called by who gets it."""
    return any(isinstance(n, Op) and n.name == "functional_model" for n in _own(node))


def _chosen(functions: dict[str, ast.FunctionDef], program: Program, makers: set[str]) -> list[str]:
    """The functions that apply layers which they, or functions they call on tensors, make."""
    own = {name for name, node in functions.items() if id(node) in _applying(functions)} | makers
    while True:
        more = {
            name for name, node in functions.items()
            if name not in own and any(_calls_on_tensor(n, own, program) for n in _own(node))
        }  # fmt: skip
        if not more:
            return [name for name in functions if name in own]
        own |= more


def _own(function: ast.FunctionDef) -> Iterable[ast.AST]:
    """The nodes of a function without those of functions inside it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        yield node
        waiting.extend(ast.iter_child_nodes(node))


def _calls_on_tensor(node: ast.AST, names: set[str], program: Program) -> bool:
    if not isinstance(node, ast.Call):
        return False
    function = node.func.func if isinstance(node.func, ast.Call) else node.func
    if not isinstance(function, ast.Name):
        return False
    callees = program.facts.callees.get(getattr(node, "nf_id", -1), ())
    called = {function.id} if function.id in names else {getattr(c, "__name__", "") for c in callees}
    if not called or not called <= set(names):
        return False
    return any(_is_tensor(a, program) for a in [*node.args, *(k.value for k in node.keywords)])


def _is_tensor(node: ast.expr, program: Program) -> bool:
    if isinstance(node, ast.List | ast.Tuple):
        return any(_is_tensor(e, program) for e in node.elts)
    seen = program.facts.values.get(getattr(node, "nf_id", -1), [])
    return any(isinstance(v, Tensor) for v in seen)


def _tensor_parameters(node: ast.FunctionDef, program: Program) -> list[str]:
    """The parameters that hold tensors, or sometimes nothing, where the run read them first."""
    found: list[str] = []
    for argument in [*node.args.args, *node.args.kwonlyargs]:
        reads = [
            seen for n in walk(node) if isinstance(n, ast.Name) and n.id == argument.arg and isinstance(n.ctx, ast.Load)
            if (seen := program.facts.values.get(getattr(n, "nf_id", -1), []))
        ]  # fmt: skip
        given = [v for v in reads[0] if v is not None] if reads else []
        if given and _is_data(given[0]):
            found.append(argument.arg)
    return found


def _is_data(value: Any) -> bool:
    """Whether a value is a tensor, or several."""
    if isinstance(value, list | tuple) and value:
        return all(isinstance(v, Tensor) or (hasattr(v, "shape") and hasattr(v, "dtype")) for v in value)
    return isinstance(value, Tensor)


class _Change(Transformer):
    """Replaces the functions by classes, inner ones first."""

    def __init__(self, lifted: dict[str, Lifted], labels: dict[int, ast.expr], program: Program) -> None:
        self.lifted = lifted
        self.labels = labels
        self.program = program
        self.classes = _classes(program)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.body = [self.visit(s) if isinstance(s, ast.FunctionDef) else s for s in node.body]
        found = self.lifted.get(node.name)
        if found is None or found.node is not node:
            return _Renamed(self.lifted).visit(node)  # type: ignore[no-any-return]
        return _as_class(found, self.lifted, self.labels, Rounds(self.program.facts), self.classes)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        rounds = Rounds(self.program.facts)

        def splitter(parameters: set[str]) -> Splitter:
            return Splitter(self.lifted, self.labels, Namer(), set(), parameters, rounds, self.classes)

        return graph_classes.divide(node, splitter, placed)


class Rounds:
    """How often a loop ran within one call of the function around it, told by what it made."""

    def __init__(self, recording: Any) -> None:
        self.recording = recording

    def __call__(self, loop: ast.For) -> int | None:
        for node in (n for s in loop.body for n in walk(s)):
            number = getattr(node, "nf_id", -1)
            if isinstance(node, ast.Call) and (seen := len(self.recording.callees.get(number, ()))):
                return seen
            if isinstance(node, Op) and node.layer:
                made = [i for i, site in self.recording.constructed.items() if site == number]
                bodies = {self.recording.chains[i][-1].body for i in made if i in self.recording.chains}
                if made and len(made) % max(len(bodies), 1) == 0:
                    return len(made) // max(len(bodies), 1)
        return None


def _classes(program: Program) -> set[str]:
    """The classes of layers that the source has itself."""
    return {c.name for c in program.classes() if any(isinstance(b, Reference) and b.kind == "Module" for b in c.bases)}


def _as_class(
    found: Lifted, lifted: dict[str, Lifted], labels: dict[int, ast.expr], rounds: Rounds, classes: set[str]
) -> ast.ClassDef:  # fmt: skip
    node = found.node
    static = _without(node.args, found.tensors)
    parameters = [a.arg for a in [*static.args, *static.kwonlyargs]]
    splitter = Splitter(lifted, labels, Namer(), set(found.tensors), set(parameters), rounds, classes)
    split = splitter.body(node.body)
    tensors = split.inputs or [a.arg for a in [*node.args.args, *node.args.kwonlyargs] if a.arg in found.tensors]
    made = make_class(found.name, static, tensors, split, parameters, _docstring(node), whole=found.is_valued)
    if not split.inputs:
        _give_defaults(made.body[-1], node.args)
    return _Renamed(lifted).visit(made)  # type: ignore[no-any-return]


def _give_defaults(forward: ast.stmt, own: ast.arguments) -> None:
    """Tensors that callers may leave out."""
    assert isinstance(forward, ast.FunctionDef)
    named = [a.arg for a in own.args]
    optional = {*named[len(named) - len(own.defaults) :], *(a.arg for a in own.kwonlyargs)}
    taken = [a.arg for a in forward.args.args]
    count = next((i for i, name in enumerate(reversed(taken)) if name not in optional), len(taken))
    forward.args.defaults = [ast.Constant(None) for _ in range(count)]


def _docstring(node: ast.FunctionDef) -> ast.stmt | None:
    first = node.body[0]
    is_text = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return first if is_text else None


def _without(arguments: ast.arguments, names: Sequence[str]) -> ast.arguments:
    """The parameters that are not in ``names``, with their defaults."""
    first = len(arguments.args) - len(arguments.defaults)
    pairs = [(a, arguments.defaults[i - first] if i >= first else None) for i, a in enumerate(arguments.args)]
    kept = [(a, d) for a, d in pairs if a.arg not in names]
    only = [(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if a.arg not in names]
    seen_default = False
    final: list[tuple[ast.arg, ast.expr | None]] = []
    for argument, default in kept:
        seen_default = seen_default or default is not None
        final.append((argument, ast.Constant(None) if seen_default and default is None else default))
    return ast.arguments(
        [], [a for a, _ in final], arguments.vararg, [a for a, _ in only], [d for _, d in only], arguments.kwarg,
        [d for _, d in final if d is not None],
    )  # fmt: skip


def make_class(
    name: str, static: ast.arguments, tensors: Sequence[str], split: Split, parameters: Sequence[str],
    docstring: ast.stmt | None, *, whole: bool = False,
) -> ast.ClassDef:  # fmt: skip
    """The class of a split function; ``whole``: with all its parameters, used or not."""
    base = ast.parse("super().__init__()").body
    used = loads(split.init) | loads(split.forward) | set(split.shared)
    used |= {a.arg for a in [*static.args, *static.kwonlyargs]} if whole else set()
    kept = ast.arguments(
        [], [a for a in static.args if a.arg in used], None, [a for a in static.kwonlyargs if a.arg in used], [], None, [],
    )  # fmt: skip
    defaults = dict(
        zip([a.arg for a in static.args][len(static.args) - len(static.defaults) :], static.defaults, strict=True)
    )
    kept.defaults = [defaults[a.arg] for a in kept.args if a.arg in defaults]
    only = dict(zip([a.arg for a in static.kwonlyargs], static.kw_defaults, strict=True))
    kept.kw_defaults = [only[a.arg] for a in kept.kwonlyargs]
    kept.args = [ast.arg("self"), *kept.args]
    shared = [n for n in split.shared if n not in split.made]
    saved = [ast.parse(f"self.{n} = {n}").body[0] for n in shared]
    init_body = placed(split.init, saved, shared, parameters)
    init = ast.FunctionDef("__init__", kept, [*base, *init_body], [], None)
    forward = ast.FunctionDef(
        "forward", ast.arguments([], [ast.arg("self"), *(ast.arg(t) for t in tensors)], None, [], [], None, []),
        split.forward or [ast.Pass()], [], None,
    )  # fmt: skip
    body: list[ast.stmt] = [*([docstring] if docstring else []), init, forward]
    return ast.ClassDef(name, [Reference("", "Module")], [], body, [])


def placed(
    body: list[ast.stmt], saved: list[ast.stmt], shared: Sequence[str], parameters: Sequence[str]
) -> list[ast.stmt]:
    """What the forward pass needs too is kept: parameters at the start, what is computed where that is known."""
    pairs = dict(zip(shared, saved, strict=True))
    early = [s for n, s in pairs.items() if n in parameters]
    always = {n for s in body if isinstance(s, ast.Assign) for n in stores(s)}
    late = [s for n, s in pairs.items() if n not in parameters and n in always]
    inside = {n: s for n, s in pairs.items() if n not in parameters and n not in always}
    return [*early, *(_saving(s, inside) for s in body), *late]


def _saving(node: ast.stmt, saved: Mapping[str, ast.stmt]) -> ast.stmt:
    """A statement in which a name is kept right after it is bound."""
    for field_name in ("body", "orelse"):
        inner = getattr(node, field_name, None)
        if isinstance(inner, list) and not isinstance(node, ast.FunctionDef | ast.ClassDef):
            kept = [
                [_saving(s, saved), *(copied(saved[n]) for n in sorted(_bound_by(s) & saved.keys()))] for s in inner
            ]
            setattr(node, field_name, [s for statements in kept for s in statements])
    return node


def _bound_by(node: ast.stmt) -> set[str]:
    return stores(node) if isinstance(node, ast.Assign) else set()


def _trim(program: Program, lifted: dict[str, Lifted]) -> None:
    """Classes do not take what they do not use, and callers do not give it: until nothing changes."""
    trees = [*(d.node for d in program.definitions), program.construction]
    classes = {n.name: n for t in trees for n in walk(t) if isinstance(n, ast.ClassDef)}
    _trim_handed(program, lifted, trees, classes)
    takes = {
        f.name: [a.arg for a in f.node.args.args if a.arg not in f.tensors] for f in lifted.values() if not f.is_valued
    }  # fmt: skip
    while True:
        changed = False
        for name, before in takes.items():
            init = (
                next((s for s in classes[name].body if isinstance(s, ast.FunctionDef)), None)
                if name in classes
                else None
            )
            if init is None:
                continue
            init.args = _used_only(init.args, loads(init.body))
            names = [a.arg for a in [*init.args.args, *init.args.kwonlyargs]]
            changed = _give(trees, name, before, names) or changed
            takes[name] = [n for n in before if n in names]
        if not changed:
            return


def _document(program: Program, lifted: dict[str, Lifted]) -> None:
    """Docstrings describe the arguments that are left."""
    before = {f.name: {a.arg for a in walk(f.node.args) if isinstance(a, ast.arg)} for f in lifted.values()}
    for node in (n for d in program.definitions for n in walk(d.node) if isinstance(n, ast.ClassDef)):
        methods = [s for s in node.body if isinstance(s, ast.FunctionDef)]
        docstrings.prune(node, before.get(node.name, set()) - {a.arg for m in methods for a in m.args.args})


def _trim_handed(
    program: Program, lifted: dict[str, Lifted], trees: Sequence[ast.AST], classes: Mapping[str, ast.ClassDef]
) -> None:
    """Classes that are handed on do not take what none of them uses, where all who call them name it."""
    groups: dict[frozenset[str], list[ast.Call]] = {}
    for node in (n for t in trees for n in walk(t) if isinstance(n, ast.Call)):
        names = frozenset(getattr(c, "__name__", "") for c in program.facts.callees.get(getattr(node, "nf_id", -1), ()))
        if names and all(n in lifted and lifted[n].is_valued for n in names):
            groups.setdefault(names, []).append(node)
    for names, calls in groups.items():
        inits = [next(s for s in classes[lifted[n].name].body if isinstance(s, ast.FunctionDef)) for n in names]
        used = {n for init in inits for n in loads(init.body)}
        named = set.intersection(*({k.arg for k in c.keywords if k.arg} for c in calls)) - used
        for call in calls:
            call.keywords = [k for k in call.keywords if k.arg not in named]
        for init in inits:
            init.args = _without(init.args, sorted(named))


def _used_only(arguments: ast.arguments, used: set[str]) -> ast.arguments:
    return _without(
        arguments, [a.arg for a in [*arguments.args, *arguments.kwonlyargs] if a.arg not in used | {"self"}]
    )


def _give(trees: Sequence[ast.AST], name: str, before: Sequence[str], names: Sequence[str]) -> bool:
    """Let the callers of a class give it ``names`` alone; whether that changed any."""
    changed = False
    for node in (n for t in trees for n in walk(t)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            args = [a for i, a in enumerate(node.args) if i >= len(before) or before[i] in names]
            keywords = [k for k in node.keywords if k.arg is None or k.arg in names]
            changed = changed or len(args) != len(node.args) or len(keywords) != len(node.keywords)
            node.args, node.keywords = args, keywords
    return changed


class _Renamed(Transformer):
    """Functions that became classes under the names of these."""

    def __init__(self, lifted: dict[str, Lifted], local: set[str] | None = None) -> None:
        self.lifted = lifted
        self.local = local or set()
        """Names that mean something else here: the variable of a loop over what the function became."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        bound = {name for statement in node.body for name in stores(statement)}
        bound |= {a.arg for a in walk(node.args) if isinstance(a, ast.arg)}
        return _Renamed(self.lifted, self.local | bound).generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        found = self.lifted.get(node.id) if node.id not in self.local else None
        if found is None or not isinstance(node.ctx, ast.Load) or found.name == node.id:
            return node
        return ast.copy_location(ast.Name(found.name, ast.Load()), node)


# -- networks that a file makes in place -------------------------------------------------------------------------------


def _top_level(program: Program) -> list[Definition]:
    """The top-level statements that apply layers, in order."""
    return [
        d for d in program.definitions
        if not isinstance(d.node, ast.FunctionDef | ast.ClassDef)
        and any(is_application(n) or _is_graph(n) for n in walk(d.node))
    ]  # fmt: skip


def _is_graph(node: ast.AST) -> bool:
    return isinstance(node, Op) and node.name in ("symbolic_input", "functional_model")


def _is_handed(node: ast.stmt, between: Sequence[Definition]) -> bool:
    """Whether a statement starts a variable that a loop of the network changes."""
    changed = {n for d in between if isinstance(d.node, ast.For) for n in stores(d.node)}
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant() | ast.Name()):
            return name in changed
    return False


def _lift_top(
    program: Program, top: list[Definition], lifted: dict[str, Lifted], labels: dict[int, ast.expr], taken: set[str]
) -> None:
    """Statements that build a network become a class, and the name that held it an instance."""
    splitter = Splitter(lifted, labels, Namer(), set(), set(), Rounds(program.facts), _classes(program))
    first, last = program.definitions.index(top[0]), program.definitions.index(top[-1])
    between: list[Definition] = []
    for definition in program.definitions[first : last + 1]:
        node = definition.node
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        if definition in top or splitter.is_dynamic(node):
            between.append(definition)
            splitter.dynamic |= stores(node)
    helpers = {n for d in between for n in loads(d.node)} & {
        n for d in program.definitions[: last + 1] if _is_handed(d.node, between) for n in stores(d.node)
    }  # fmt: skip
    between = [d for d in program.definitions[: last + 1] if d in between or (set(d.names) <= helpers and d.names)]
    splitter.dynamic = set()
    split = splitter.body([d.node for d in between])
    holder = split.model or "model"
    name = class_name(holder, taken)
    taken.add(name)
    made = make_class(name, ast.arguments([], [], None, [], [], None, []), split.inputs, split, [], None)
    instance = ast.parse(f"{holder} = {name}()").body[0]
    lead = between[0].lead
    at = program.definitions.index(between[0])
    kept = [d for d in program.definitions if d not in between]
    at = min(at, len(kept))
    program.definitions[:] = [
        *kept[:at], Definition((name,), made, top[0].module, lead), Definition((holder,), instance, top[0].module),
        *kept[at:],
    ]  # fmt: skip

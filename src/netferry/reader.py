"""Turns the source's syntax tree and the facts about it into a pivot program, through the vocabulary."""

from __future__ import annotations

import ast
import copy
import functools
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from netferry.calls import Calls
from netferry.conventions import MISSING, Conventions, Counts
from netferry.narrowing import narrowed
from netferry.ops import registry
from netferry.ops.binding import bind
from netferry.owned import owned
from netferry.pivot.copying import copied
from netferry.pivot.facts import Note, NoteSeverity, Site, Tensor
from netferry.pivot.nodes import Hole, Op, Reference, constant
from netferry.slicing import sliced
from netferry.walking import Transformer, walk

_ITERATING = frozenset({"len", "list", "tuple", "enumerate", "zip", "reversed", "iter", "map", "filter", "sum"})


class Reader(Transformer):
    """Reads one file's definitions; framework calls become op nodes."""

    def __init__(
        self, conventions: Conventions, facts: Any, file: Any, namespace: Mapping[str, Any], counts: Counts,
        owns: Callable[[str], bool] = lambda module: True,
    ) -> None:  # fmt: skip
        self.conventions = conventions
        self.facts = facts
        self.calls = Calls(self)
        self.file = file
        self.namespace = namespace
        self.counts = counts
        self._owns = owns
        self.class_name = ""
        self.bases: list[Any] = []
        """What the class being read extends, as far as it is known without running anything."""
        self.function: list[ast.AST] = []
        self.narrowed: dict[str, tuple[type, ...]] = {}
        """The classes of variables, by the ``isinstance`` tests around."""
        self._testing = 0
        """Inside an annotation or an ``isinstance`` test, a class stands for itself, not for its constructor."""

    # -- looking things up ---------------------------------------------------------------------------------------

    def site(self, node: ast.AST) -> Site:
        """The place and the observed events of a node."""
        number = getattr(node, "nf_id", -1)
        events = self.facts.by_node.get(number, ())
        file, line = self.file.place(getattr(node, "lineno", 0))
        return Site(file, line, getattr(node, "col_offset", 0) + 1, number, events, assumed=not events)

    def static(self, node: ast.AST) -> Any:
        """The object that a dotted name denotes in the module, without running anything; MISSING if unknown."""
        if isinstance(node, ast.Name):
            return self.namespace.get(node.id, MISSING) if not self._is_local(node.id) else MISSING
        if isinstance(node, ast.Attribute):
            owner = self.static(node.value)
            if owner is MISSING:
                return MISSING
            try:
                return getattr(owner, node.attr, MISSING)
            except Exception:  # noqa: BLE001 - attributes may be computed, by any code
                return MISSING
        return MISSING

    def _is_local(self, name: str) -> bool:
        return any(name in local_names(f) for f in self.function)

    def values(self, node: ast.AST) -> list[Any]:
        """The values observed at an expression."""
        found: list[Any] = self.facts.values.get(getattr(node, "nf_id", -1), [])
        return found

    def callees(self, node: ast.Call) -> list[Any]:
        """What a call was observed to call."""
        found: list[Any] = self.facts.callees.get(getattr(node, "nf_id", -1), [])
        return found

    def note(self, node: ast.AST, message: str, code: str = "NF036", severity: NoteSeverity = "info") -> None:
        """Note a change that does not concern what the network computes."""
        self.counts.notes.append(Note(message, self.site(node), code, severity))

    def hole(self, node: ast.expr, reason: str, hint: str = "") -> Hole:
        """Mark a call as untranslatable."""
        made = Hole(node, reason, hint, self.site(node))
        self.counts.holes.append(made)
        return ast.copy_location(made, node)

    # -- calls ---------------------------------------------------------------------------------------------------

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id in ("isinstance", "issubclass") and len(node.args) == 2:
            node.args = [self.visit(node.args[0]), self.test(node.args[1])]
            return node
        if isinstance(node.func, ast.Name) and node.func.id in _ITERATING and self.static(node.func) is MISSING:
            node.args = [self._members(a) for a in node.args]
            node.keywords = [self.visit(k) for k in node.keywords]
            return node
        if isinstance(node.func, ast.Name) and node.func.id == "getattr" and len(node.args) == 2:
            member = self.conventions.member(self, *node.args)
            if member is not None:
                return ast.copy_location(member, node)
        return self.calls.read(node)

    def test(self, node: ast.expr) -> ast.expr:
        """Read an annotation or the classes of an ``isinstance`` test."""
        self._testing += 1
        made: ast.expr = self.visit(node)
        self._testing -= 1
        return made

    def _members(self, node: ast.expr) -> ast.expr:
        """Read an expression that is iterated or indexed: a sequential container stands for its layers there."""
        held = self.conventions.members(self, node)
        if held is not None:
            return held
        seen = self.values(node)
        made: ast.expr = self.visit(node)
        if seen and all(self.conventions.is_sequence(v) for v in seen):
            return Op("sequence_of", {"module": made}, site=self.site(node))
        return made

    def visit_For(self, node: ast.For) -> ast.AST:
        node.target = self.visit(node.target)
        node.iter = self._members(node.iter)
        node.body = _flat(self.visit(s) for s in node.body) or [ast.Pass()]
        node.orelse = _flat(self.visit(s) for s in node.orelse)
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        outer = self.narrowed
        inner = outer | narrowed(node.test, self.static)
        node.test = self.visit(node.test)
        self.narrowed = inner
        node.body = _flat(self.visit(s) for s in node.body) or [ast.Pass()]
        self.narrowed = outer
        node.orelse = _flat(self.visit(s) for s in node.orelse)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        node.target = self.visit(node.target)
        node.iter = self._members(node.iter)
        node.ifs = [self.visit(i) for i in node.ifs]
        return node

    def visit_Starred(self, node: ast.Starred) -> ast.AST:
        node.value = self._members(node.value)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        answer = self.conventions.decided(self, node)
        if answer is not None:
            return ast.copy_location(ast.Constant(answer), node)
        node.left = self.visit(node.left)
        pairs = zip(node.ops, node.comparators, strict=True)
        node.comparators = [self._members(c) if isinstance(o, ast.In | ast.NotIn) else self.visit(c) for o, c in pairs]
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if not isinstance(node.ctx, ast.Load):
            node.value = self.conventions.members(self, node.value) or self.visit(node.value)
            node.slice = self.visit(node.slice)
            return node
        item = self.conventions.subscript(self, node)
        if item is not None:
            return ast.copy_location(item, node)
        node.value = self._members(node.value)
        node.slice = self.visit(node.slice)
        if isinstance(node.value, Op) and node.value.name == "sequence_of" and isinstance(node.slice, ast.Slice):
            return ast.copy_location(Op("sequential", {"layers": node}, layer=True, site=self.site(node)), node)
        return ast.copy_location(sliced(node), node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        mixed = getattr(self.conventions, "mixed", None)
        if mixed is not None:
            mixed(self, node)
        self.generic_visit(node)
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        answer = self.conventions.decided(self, node.test)
        if answer is not None:
            return self.visit(node.body if answer else node.orelse)  # type: ignore[no-any-return]
        self.generic_visit(node)
        return node

    # -- names and attributes ------------------------------------------------------------------------------------

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if not isinstance(node.ctx, ast.Load):
            return node
        return self._reference(node) or node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if not isinstance(node.ctx, ast.Load):
            node.value = self.visit(node.value)
            return node
        found = self._tensor_attribute(node) or self._reference(node)
        if found is not None:
            return found
        found = self.conventions.attribute(self, node, self.values(node.value))
        if found is not None:
            return ast.copy_location(found, node)
        if self.is_gone(node):
            return self.hole(node, f"{ast.unparse(node)} is nothing that the installed framework has")
        if self._is_setting(node):
            return self.hole(
                node, f"{ast.unparse(node)} says something of the source framework", "write what it shall be"
            )
        node.value = self.visit(node.value)
        return node

    def is_gone(self, node: ast.expr) -> bool:
        """Whether a name is read off a module of the source framework that has none such, as that of another version."""
        if not isinstance(node, ast.Attribute) or self.values(node):
            return False
        return self._is_library(self.static(node.value)) and self.static(node) is MISSING

    def _is_setting(self, node: ast.Attribute) -> bool:
        """Whether a plain value is read off a module of the source framework, as its version is."""
        return self._is_library(self.static(node.value)) and isinstance(self.static(node), str | int | float)

    def _is_library(self, value: Any) -> bool:
        """Whether it is a module of the source framework."""
        return isinstance(value, types.ModuleType) and value.__name__.partition(".")[0] in self.conventions.libraries

    def _tensor_attribute(self, node: ast.Attribute) -> ast.expr | None:
        events = self.facts.by_node.get(getattr(node, "nf_id", -1), ())
        if not events and not self.conventions.guess_attribute(self, node):  # type: ignore[attr-defined]
            return None
        for op, spelling in registry.find(self.conventions.tensor_path(node.attr)):  # type: ignore[attr-defined]
            bound = bind(op, spelling, [node.value], [])
            made = Op(
                op.name, {k: self.visit(v) for k, v in bound.operands.items()}, bound.attributes, site=self.site(node)
            )
            made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
            return ast.copy_location(made, node)
        return None

    def _reference(self, node: ast.expr) -> ast.expr | None:
        """A framework class, function or constant used as a value."""
        seen = self.values(node)
        value = seen[0] if seen else self.static(node)
        if value is MISSING or isinstance(value, Tensor):
            return None
        plain = self.conventions.value(value)
        if plain is not None and isinstance(node, ast.Attribute) and self.static(node) is not MISSING:
            return plain
        if self.static(node) is MISSING or not callable(value):
            return None
        if self._testing and self.conventions.foreign(value):
            return Reference("typing.Any", "Any", self.site(node))
        path = self.conventions.path(value)
        if path is None:
            return self._left_out(node) if self.is_left_out(value) else None
        kind = self.conventions.annotation(value) or ("test" if self._testing else "")
        made = Reference(path, kind, self.site(node))
        made.op = getattr(node, "nf_op", "")
        return ast.copy_location(made, node)

    def is_left_out(self, value: Any) -> bool:
        """Whether a class belongs to a library of the source framework that is not read along with the source."""
        module = getattr(value, "__module__", None) or ""
        libraries = self.conventions.libraries
        return isinstance(value, type) and module.partition(".")[0] in libraries and not self._owns(module)

    def _left_out(self, node: ast.expr) -> ast.expr:
        """No instance of such a class can come up elsewhere."""
        if self._testing:
            return ast.Tuple([], ast.Load())
        text = f"{ast.unparse(node)} is not read along with the source: None stands for it"
        self.note(node, text, "NF033", "warning")
        return constant(None)

    # -- statements ----------------------------------------------------------------------------------------------

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.stmt):
            made = self.conventions.statement(self, node)
            if made is not None:
                return made
        return super().visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        """``x.add_(y)``: a tensor that is changed in place is a new one of the same name elsewhere."""
        changed = self._changed_argument(node.value)
        if changed is not None:
            self.generic_visit(node)
            return _replace_statement(ast.Assign([ast.Name(changed, ast.Store())], node.value), node)
        part = _changed_part(node.value)
        if part is not None and self._is_inplace(node.value) and self._is_view(part):
            return self._update(node, copied(part), node.value)
        self.generic_visit(node)
        owner: ast.expr | None = node.value
        while isinstance(owner, Op) and getattr(owner, "inplace", False) and not owner.name.startswith("init_"):
            owner = next(iter(k.value for k in owner.operands), None)
        if owner is node.value:
            return node
        if not isinstance(owner, ast.Name | ast.Attribute):
            node.value = self.hole(
                node.value, "a part of a tensor is changed in place", "assign to it: x[i] = x[i] + y"
            )
            return node
        if self._is_for_the_caller(owner):
            node.value = self._callers(node.value)
            return node
        target = copied(owner)
        target.ctx = ast.Store()
        return _replace_statement(ast.Assign([target], node.value), node)

    def _changed_argument(self, call: ast.expr) -> str | None:
        """The argument that a function of the user's changed in place, and gave back to nobody."""
        if not isinstance(call, ast.Call) or any(self.conventions.path(c) for c in self.callees(call)):
            return None
        given = [v.identity if isinstance(v, Tensor) else None for v in self.values(call)]
        for argument in call.args if given and None not in given else ():
            seen = [v.identity if isinstance(v, Tensor) else None for v in self.values(argument)]
            if isinstance(argument, ast.Name) and seen == given:
                return argument.id
        return None

    def _is_for_the_caller(self, owner: ast.expr) -> bool:
        """Whether what is changed is an argument of a function that gives back and keeps nothing."""
        function = self.function[-1] if self.function else None
        if not isinstance(owner, ast.Name) or not isinstance(function, ast.FunctionDef):
            return False
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        nodes = list(walk(function))
        gives = any(isinstance(n, ast.Return | ast.Yield) and n.value is not None for n in nodes)
        keeps = any(isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store) for n in nodes)
        return owner.id in {a.arg for a in arguments} and not gives and not keeps

    def _callers(self, value: ast.expr) -> Hole:
        hint = "return the tensor, and assign it where the function is called"
        return self.hole(value, "an argument is changed in place for the caller to go on with", hint)

    def _is_inplace(self, call: ast.expr) -> bool:
        """Whether a call was seen to change the tensor that it is a method of."""
        paths = (self.conventions.path(c) or "" for c in self.callees(call)) if isinstance(call, ast.Call) else ()
        return any(spelling.inplace for path in paths for _, spelling in registry.find(path))

    def _is_view(self, part: ast.Subscript) -> bool:
        """Whether a part shares its memory with the whole: one chosen by a tensor or a list is a copy."""
        indices = part.slice.elts if isinstance(part.slice, ast.Tuple) else [part.slice]
        seen = [v for index in indices for v in self.values(index)]
        return not any(isinstance(v, Tensor | list) for v in seen)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        target = node.target
        events = self.facts.by_node.get(getattr(node, "nf_id", -1), ())
        if isinstance(target, ast.Subscript) and events:
            old = ast.Subscript(copy.deepcopy(target.value), copy.deepcopy(target.slice), ast.Load())
            value = ast.BinOp(old, node.op, node.value)
            return self._update(node, target, value)
        self.generic_visit(node)
        return node

    def _update(self, node: ast.stmt, target: ast.Subscript, value: ast.expr) -> ast.AST:
        """``x[index] = value`` on a tensor makes a new tensor elsewhere."""
        owner = target.value
        if not isinstance(owner, ast.Name | ast.Attribute):
            value = self.hole(
                ast.Subscript(owner, target.slice, ast.Load()), "a tensor that has no name is written into"
            )
            return _replace_statement(ast.Expr(value), node)
        number = getattr(node, "nf_id", -1)
        events = self.facts.by_node.get(number, ())
        key = events[0].args[1] if events else None
        masked = isinstance(key, Tensor) and key.dtype == "bool"
        if self._is_for_the_caller(owner):
            return _replace_statement(ast.Expr(self._callers(copied(value))), node)
        load = copy.copy(owner)
        load.ctx = ast.Load()
        index = self.visit(target.slice)
        if not masked:
            index = ast.Subscript(ast.Attribute(ast.Name("np", ast.Load()), "s_", ast.Load()), index, ast.Load())
        operands = {"x": self.visit(load), "index": index, "value": self.visit(value)}
        made = Op("mask_update" if masked else "index_update", operands, site=self.site(node))
        made.nf_id = number  # type: ignore[attr-defined]
        self.counts.observed += 1
        return _replace_statement(ast.Assign([owner], made), node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        target = node.targets[0]
        if isinstance(target, ast.Subscript) and self.facts.by_node.get(getattr(node, "nf_id", -1)):
            return self._update(node, target, node.value)
        trained = self._trained(node.value) if isinstance(target, ast.Attribute) else None
        self.generic_visit(node)
        if trained is not None and getattr(node.value, "name", "") not in ("parameter", "buffer"):
            node.value = Op("parameter" if trained else "buffer", {"x": node.value}, site=self.site(node.value))
        if isinstance(target, ast.Attribute) and isinstance(node.value, Op) and node.value.layer:
            self.counts.made.setdefault(target.attr, set()).add(node.value.name)
        if isinstance(target, ast.Name) and isinstance(node.value, ast.Name) and target.id == node.value.id:
            return []  # type: ignore[return-value]
        return node

    def _trained(self, value: ast.expr) -> bool | None:
        """Whether what becomes an attribute is trained; None where it is no state."""
        seen = self.values(value)
        if not seen or not all(isinstance(v, Tensor) for v in seen):
            return None
        if self.counts.owned is None:
            self.counts.owned = owned(self.facts, list(self.conventions.walk(self.facts.network)))
        found = {self.counts.owned.get(v.identity) for v in seen}
        return found.pop() if len(found) == 1 else None

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        outer = self.class_name, self.bases
        self.class_name, self.bases = node.name, [self.static(base) for base in node.bases]
        self.generic_visit(node)
        for base in node.bases:
            if isinstance(base, Reference) and not base.kind:
                base.kind = "base"
        self.conventions.declared(self, node)
        self.class_name, self.bases = outer
        return node

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.decorator_list = [
            self.visit(d)
            for d in node.decorator_list
            if not self.conventions.erased(self.static(d.func if isinstance(d, ast.Call) else d))
            and not self._only_registers(node, d)
        ]
        unknown = next((d for d in node.decorator_list if isinstance(d, Hole)), None)
        if unknown is not None:  # What the function computes is not what it says.
            node.decorator_list = [d for d in node.decorator_list if not isinstance(d, Hole)]
            node.body = [ast.copy_location(ast.Expr(unknown), node.body[0])]
            return node
        for argument in walk(node.args):
            if isinstance(argument, ast.arg) and argument.annotation is not None:
                argument.annotation = self.test(argument.annotation)
        node.args.defaults = [self.visit(d) for d in node.args.defaults]
        node.args.kw_defaults = [self.visit(d) if d is not None else None for d in node.args.kw_defaults]
        if node.returns is not None:
            node.returns = self.test(node.returns)
        self.function.append(node)
        node.body = self._body(node.body) or [ast.Pass()]
        self.function.pop()
        return node

    def _body(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        """The statements of a function, up to a return in a branch that is always taken."""
        found: list[ast.stmt] = []
        for statement in statements:
            made = _flat([self.visit(statement)])
            found += made
            if isinstance(statement, ast.If) and made and isinstance(made[-1], ast.Return | ast.Raise):
                break
        return found

    def _only_registers(self, node: ast.FunctionDef | ast.AsyncFunctionDef, decorator: ast.expr) -> bool:
        """Whether a decorator of the user's gives back the function itself: it only puts it on a list."""
        made = self.namespace.get(node.name)
        maker = self.static(decorator)
        if (
            self.function
            or self.class_name
            or len(node.decorator_list) != 1
            or not isinstance(maker, types.FunctionType)
        ):
            return False
        if not isinstance(made, types.FunctionType) or not self._owns(maker.__module__):
            return False
        return (
            made.__code__.co_name == node.name
            and not hasattr(made, "__wrapped__")
            and maker.__code__ is not made.__code__
        )

    visit_FunctionDef = _function  # noqa: N815
    visit_AsyncFunctionDef = _function  # noqa: N815

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = self.test(node.annotation)
        node.target = self.visit(node.target)
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return node


def _changed_part(value: ast.expr) -> ast.Subscript | None:
    """The part of a tensor whose method is called: ``x[i].zero_()``."""
    match value:
        case ast.Call(func=ast.Attribute(value=ast.Subscript() as part)):
            return part
    return None


def _replace_statement(made: ast.stmt, original: ast.stmt) -> ast.stmt:
    made.nf_replaces = original  # type: ignore[attr-defined]
    return ast.copy_location(made, original)


def _flat(made: Iterable[Any]) -> list[ast.stmt]:
    found: list[ast.stmt] = []
    for item in made:
        found.extend(item if isinstance(item, list) else [item] if item is not None else [])
    return found


@functools.lru_cache(maxsize=4096)
def local_names(function: ast.AST) -> frozenset[str]:
    """The names that a function binds, those of functions within included."""
    names: set[str] = set()
    for node in walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
    return frozenset(names)

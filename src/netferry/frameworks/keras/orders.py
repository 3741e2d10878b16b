"""Numbers that follow from where the channels are: ``axis = 3 if image_data_format() == "channels_last" else 1``."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from netferry.walking import Transformer, walk

Decide = Callable[[ast.expr], "bool | None"]
_FOLDED = {ast.Add: int.__add__, ast.Sub: int.__sub__}
_COMPARED = {ast.Eq: int.__eq__, ast.NotEq: int.__ne__}


def resolve(function: ast.FunctionDef, decide: Decide) -> None:
    """Put such numbers in place of the names that hold them, so that axes and branches are known without running."""
    chosen = _Chosen(decide)
    function.body = chosen.statements(function.body)
    found = {n: v for n, v in chosen.numbers.items() if _assigned(function, n) == 1}
    if found:
        function.body = _Put(found).statements(function.body)


def _assigned(function: ast.FunctionDef, name: str) -> int:
    stored = sum(isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Store) for n in walk(function))
    return stored + sum(a.arg == name for a in walk(function) if isinstance(a, ast.arg))


class _Chosen(Transformer):
    """Takes the branches that the order of axes decides, and notes the numbers assigned there."""

    def __init__(self, decide: Decide) -> None:
        self.decide = decide
        self.numbers: dict[str, int] = {}

    def statements(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """The statements that remain."""
        return [made for node in body for made in self._statement(node)]

    def _statement(self, node: ast.stmt) -> Iterator[ast.stmt]:
        if isinstance(node, ast.If) and (answer := self.decide(node.test)) is not None:
            for statement in node.body if answer else node.orelse:
                self._note(statement)
                yield from self._statement(statement)
            return
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.IfExp):
            answer = self.decide(node.value.test)
            if answer is not None:
                node.value = node.value.body if answer else node.value.orelse
                self._note(node)
        for name in ("body", "orelse"):
            inner = getattr(node, name, None)
            if isinstance(inner, list) and inner and isinstance(inner[0], ast.stmt):
                setattr(node, name, self.statements(inner))
        yield node

    def _note(self, node: ast.stmt) -> None:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                try:
                    number = ast.literal_eval(value)
                except ValueError:
                    return
                if type(number) is int:
                    self.numbers[name] = number


class _Put(Transformer):
    """The numbers in place of their names; what follows from them is computed."""

    def __init__(self, numbers: dict[str, int]) -> None:
        self.numbers = numbers

    def statements(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """The statements with the numbers, without those that assigned them."""
        found: list[ast.stmt] = []
        for node in body:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)]) if name in self.numbers:
                    continue
                case ast.If(test=test) if (answer := self._answer(test)) is not None:
                    found.extend(self.statements(node.body if answer else node.orelse))
                case _:
                    found.append(self.visit(node))
        return found

    def _answer(self, test: ast.expr) -> bool | None:
        match test:
            case ast.Compare(left=ast.Name(id=name), ops=[op], comparators=[ast.Constant(value=int(number))]):
                compare = _COMPARED.get(type(op))
                return compare(self.numbers[name], number) if compare and name in self.numbers else None
        return None

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for name in ("body", "orelse"):
            inner = getattr(node, name, None)
            if isinstance(inner, list) and inner and isinstance(inner[0], ast.stmt):
                setattr(node, name, self.statements(inner))
        for name, value in ast.iter_fields(node):
            if name in ("body", "orelse") and isinstance(value, list):
                continue
            if isinstance(value, list):
                setattr(node, name, [self.visit(v) if isinstance(v, ast.AST) else v for v in value])
            elif isinstance(value, ast.AST):
                setattr(node, name, self.visit(value))
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id not in self.numbers or not isinstance(node.ctx, ast.Load):
            return node
        made = ast.copy_location(ast.Constant(self.numbers[node.id]), node)
        made.nf_ordered = True  # type: ignore[attr-defined]
        return made

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        match node:
            case ast.BinOp(left=ast.Constant(value=int(left)), op=op, right=ast.Constant(value=int(right))):
                fold = _FOLDED.get(type(op))
                if fold is not None:
                    return ast.copy_location(ast.Constant(fold(left, right)), node)
        return node

"""Renders a changed syntax tree, splicing the original text wherever nothing changed.

Every parsed node remembers its span and its children (:func:`remember`). A node that still has the same children
renders as its original text; a node some of whose children were replaced one for one is stitched from the text
between them; only what was really rebuilt is printed anew. Comments, blank lines and formatting survive outside the change.
"""

from __future__ import annotations

import ast
import contextlib
import io
import textwrap
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from netferry.pivot.texts import docstring
from netferry.walking import walk

_ATOMS = (ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.Constant, ast.List, ast.Dict, ast.Set, ast.JoinedStr,
          ast.ListComp, ast.DictComp, ast.SetComp)  # fmt: skip


class Text:
    """The text of a source file with fast offsets."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.data = text.encode()
        self._starts = [0]
        for line in self.data.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def __deepcopy__(self, memo: dict[int, Any]) -> Text:
        return self

    def offset(self, line: int, column: int) -> int:
        """The byte offset of a 1-based line and 0-based byte column."""
        return self._starts[line - 1] + column

    def slice(self, start: int, end: int) -> str:
        """The text between two byte offsets."""
        return self.data[start:end].decode()


@dataclass(slots=True)
class _Memory:
    source: Text
    start: int
    end: int
    fields: tuple[tuple[str, Any], ...]
    prefix: str = ""
    suffix: str = ""

    def text(self, start: int, end: int) -> str:
        return self.source.slice(start, end)


def remember(tree: ast.AST, source: Text) -> None:
    """Let every node of a freshly parsed tree remember its text and its children."""
    # Positions inside f-strings are wrong before Python 3.12: such nodes are known but have no text of their own.
    inside = {id(n) for f in walk(tree) if isinstance(f, ast.JoinedStr) for n in walk(f) if n is not f}
    for node in walk(tree):
        if id(node) in inside or isinstance(
            node, ast.arguments | ast.comprehension | ast.withitem | ast.match_case | ast.pattern
        ):
            start = end = -1
        elif isinstance(node, ast.expr | ast.stmt | ast.arg | ast.keyword | ast.excepthandler | ast.alias):
            start = _start(node, source)
            end = source.offset(node.end_lineno or node.lineno, node.end_col_offset or 0)
        else:
            continue
        fields = tuple((n, tuple(v) if isinstance(v, list) else v) for n, v in ast.iter_fields(node))
        node.nf_memory = _Memory(source, start, end, fields)  # type: ignore[attr-defined]


def _start(node: Any, source: Text) -> int:
    """The offset where a node begins, decorators included."""
    decorators = getattr(node, "decorator_list", None)
    if decorators:
        first = source.offset(decorators[0].lineno, decorators[0].col_offset)
        return source.data.rindex(b"@", 0, first)
    return source.offset(node.lineno, node.col_offset)


def list_of_arguments(call: ast.Call) -> ast.List:
    """The positional arguments of a call as a list display that keeps the comments and line breaks between them."""
    made = ast.List(list(call.args), ast.Load())
    memory = _memory(call)
    if memory is None or memory.start < 0 or not call.args or call.keywords:
        return made
    function = _memory(call.func)
    if function is None or function.start < 0:
        return made
    start = memory.source.data.index(b"(", function.end) + 1
    fields = (("elts", tuple(call.args)), ("ctx", made.ctx))
    made.nf_memory = _Memory(memory.source, start, memory.end - 1, fields, "[", "]")  # type: ignore[attr-defined]
    return made


def regrouped(listing: ast.List | ast.Tuple, found: Sequence[tuple[int, ast.expr]]) -> ast.List:
    """A list of elements that each stand for one of another's, given by its index; what is written between them stays."""
    made = ast.List([element for _, element in found], ast.Load())
    made.nf_origins = tuple(index for index, _ in found)  # type: ignore[attr-defined]
    if isinstance(listing, ast.List) and _memory(listing) is not None:
        made.nf_memory = listing.nf_memory  # type: ignore[attr-defined]
    return made


def arguments_of_list(display: ast.expr) -> ast.Starred | None:
    """The elements of a list as the only arguments of a call, where there are comments between them to keep."""
    memory = _memory(display)
    if not isinstance(display, ast.List) or memory is None or memory.start < 0 or memory.prefix:
        return None
    before = next((len(value) for name, value in memory.fields if name == "elts"), -1)
    origins = getattr(display, "nf_origins", range(before))
    if len(origins) != len(display.elts) or "#" not in memory.text(memory.start, memory.end):
        return None
    made = ast.Starred(display, ast.Load())
    made.nf_inner = True  # type: ignore[attr-defined]
    return made


def _memory(node: ast.AST) -> _Memory | None:
    return getattr(node, "nf_memory", None)


def pristine(node: ast.AST) -> bool:
    """Whether ``node`` and everything below it is as it was parsed."""
    memory = _memory(node)
    if memory is None:
        return isinstance(node, ast.expr_context | ast.operator | ast.boolop | ast.unaryop | ast.cmpop)
    for name, before in memory.fields:
        now = getattr(node, name, None)
        if isinstance(before, tuple):
            if len(now or ()) != len(before):
                return False
            for a, b in zip(before, now or (), strict=True):
                if a is not b or (isinstance(b, ast.AST) and not pristine(b)):
                    return False
        elif now is not before or (isinstance(now, ast.AST) and not pristine(now)):
            return False
    return True


def comments_of(statement: ast.stmt) -> str:
    """The comments in front of a statement and behind it on its line, for what takes its place elsewhere."""
    memory = _memory(statement)
    if memory is None or memory.start < 0:
        return ""
    found: list[str] = []
    for line in reversed(memory.source.data[: memory.start].decode().split("\n")[:-1]):
        if not line.strip().startswith("#"):
            break
        found.insert(0, line.strip())
    behind = memory.source.data[memory.end :].decode().partition("\n")[0].strip()
    return "\n".join([*found, behind] if behind.startswith("#") else found)


class Renderer:
    """Renders expressions and simple statements."""

    def expression(self, node: ast.AST) -> str:
        """The source text of an expression-like node."""
        memory = _memory(node)
        if memory is not None and memory.start >= 0:
            if pristine(node):
                return memory.prefix + memory.text(memory.start, memory.end) + memory.suffix
            stitched = self._stitch(node, memory)
            if stitched is not None:
                return memory.prefix + stitched + memory.suffix
        return self._print(node)

    def _stitch(self, node: ast.AST, memory: _Memory) -> str | None:
        """Original text with replaced children spliced in; None when the shape of the node changed."""
        pieces: list[tuple[int, int, str]] = []
        if hasattr(node, "nf_origins"):
            self._regrouped(node, memory, pieces)
        elif not self._collect(node, memory, pieces):
            return None
        pieces.sort()
        out, at = [], memory.start
        for start, end, text in pieces:
            if start < at:
                return None
            out.append(memory.source.slice(at, start))
            out.append(text)
            at = end
        out.append(memory.source.slice(at, memory.end))
        return "".join(out)

    def _regrouped(self, node: Any, memory: _Memory, pieces: list[tuple[int, int, str]]) -> None:
        """A list whose elements stand for none, one or several of those before."""
        (before,) = (value for name, value in memory.fields if name == "elts")
        ends = [m.end for e in before if (m := _memory(e))]
        starts = [m.start for e in before if (m := _memory(e))]
        for index, (start, end) in enumerate(zip(starts, ends, strict=True)):
            now = [e for origin, e in zip(node.nf_origins, node.elts, strict=False) if origin == index]
            if not now:
                comma = memory.source.data.find(b",", end, [*starts, memory.end][index + 1])
                end = end if comma < 0 else comma + 1
            pieces.append((start, end, ", ".join(map(self.expression, now))))

    def _collect(self, node: ast.AST, memory: _Memory, pieces: list[tuple[int, int, str]]) -> bool:
        for name, before in memory.fields:
            now = getattr(node, name, None)
            if isinstance(before, tuple):
                if before and isinstance(before[0], ast.stmt):
                    if list(before) != now or not all(pristine(s) for s in before):
                        first, last = _memory(before[0]), _memory(before[-1])
                        assert first and last
                        pieces.append((first.start, last.end, self.block(before, now or [], memory.source)))
                    continue
                if name == "decorator_list" and before:
                    self._decorators(node, before, now or [], memory, pieces)
                    continue
                if len(before) != len(now or ()):
                    return False
                pairs = list(zip(before, now or (), strict=True))
            else:
                pairs = [(before, now)]
            for a, b in pairs:
                if isinstance(a, ast.AST):
                    if not self._piece(node, name, a, b, pieces):
                        return False
                elif a is not b and a != b and not self._renamed(node, name, a, b, memory, pieces):
                    return False
        return True

    def _piece(self, parent: ast.AST, name: str, before: ast.AST, now: Any, pieces: list[tuple[int, int, str]]) -> bool:
        if before is now and pristine(before):
            return True
        old = _memory(before)
        if old is None or not isinstance(now, ast.AST):
            return False
        if isinstance(now, ast.arguments) and isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef):
            return (before is now and self._collect(now, old, pieces)) or self._parameters(parent, now, pieces)
        if old.start < 0:
            return before is now and self._collect(now, old, pieces)
        bare = isinstance(parent, ast.Subscript) or (isinstance(parent, ast.Assign) and name == "targets")
        if bare and isinstance(now, ast.Tuple) and now.elts and _memory(now) is None:
            # Slices may not stand inside parentheses, and targets need none.
            pieces.append((old.start, old.end, ", ".join(self.expression(e) for e in now.elts)))
            return True
        text = self.expression(now)
        if before is not now and _needs_parentheses(parent, name, now, before):
            text = f"({text})"
        pieces.append((old.start, old.end, text))
        return True

    def _renamed(
        self, node: ast.AST, name: str, before: Any, now: Any, memory: _Memory, pieces: list[tuple[int, int, str]]
    ) -> bool:
        """A changed identifier of an attribute, keyword, argument: found in the node's own text."""
        if not isinstance(before, str) or not isinstance(now, str):
            return False
        size = len(before.encode())
        if isinstance(node, ast.Attribute) and name == "attr":
            pieces.append((memory.end - size, memory.end, now))
            return True
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) and name == "name":
            end = _name_end(node, memory, before)
            pieces.append((end - size, end, now))
            return True
        if isinstance(node, ast.Name | ast.arg | ast.keyword):
            pieces.append((memory.start, memory.start + size, now))
            return True
        return False

    def _parameters(
        self, function: ast.FunctionDef | ast.AsyncFunctionDef, now: ast.arguments, pieces: list[tuple[int, int, str]]
    ) -> bool:
        """Rewrite a parameter list whose number of parameters changed."""
        memory = _memory(function)
        assert memory
        start = memory.source.data.index(b"(", _name_end(function, memory)) + 1
        end = _closing(memory.source.data, start)
        pieces[:] = [p for p in pieces if not (start <= p[0] and p[1] <= end)]
        pieces.append((start, end, self._print(now)))
        return True

    def _decorators(
        self,
        node: ast.AST,
        before: tuple[Any, ...],
        now: list[Any],
        memory: _Memory,
        pieces: list[tuple[int, int, str]],
    ) -> None:
        keyword = memory.source.offset(node.lineno, node.col_offset)  # type: ignore[attr-defined]
        starts = [memory.source.data.rindex(b"@", 0, _memory(d).start) for d in before]  # type: ignore[union-attr]
        instead = {id(b): n for b, n in zip(before, now, strict=True)} if len(before) == len(now) else {}
        for decorator, start, end in zip(before, starts, [*starts[1:], keyword], strict=True):
            made = instead.get(id(decorator), decorator)
            if made is not decorator and not any(decorator is d for d in now):
                old = _memory(decorator)
                assert old
                pieces.append((old.start, old.end, self.expression(made)))
            elif not any(decorator is d for d in now):
                pieces.append((start, end, ""))
            elif not pristine(decorator):
                old = _memory(decorator)
                assert old
                pieces.append((old.start, old.end, self.expression(decorator)))

    def block(self, before: tuple[ast.stmt, ...], now: list[ast.stmt], source: Text) -> str:
        """The text of a statement list that replaces the one parsed; comments between kept statements stay."""
        first = _memory(before[0])
        assert first
        indent = _indent(source, first.start)
        leads = {id(before[0]): ""}
        tails: dict[int, str] = {}
        for previous, statement in pairwise(before):
            a, b = _memory(previous), _memory(statement)
            assert a and b
            between = source.slice(a.end, b.start)
            tails[id(previous)] = tail = _same_line(between)
            leads[id(statement)] = between[len(tail) :]
        kept = {id(s) for s in now} | {id(getattr(s, "nf_replaces", None)) for s in now}
        out = ""
        pending = ""
        queue = list(now) or [ast.Pass()]
        for original in before:
            if id(original) in kept:
                while queue:
                    statement = queue[0]
                    anchor = getattr(statement, "nf_replaces", statement)
                    if anchor is not original and id(anchor) in leads:
                        break
                    queue.pop(0)
                    lead = (leads[id(original)] if anchor is original else "") if out else ""
                    if anchor is original and not out:
                        lead = _own_lines(leads[id(original)], indent)
                    if not lead.strip(" ") and out:
                        lead = "\n" + indent
                    out += pending + lead + self.statement(statement, indent)
                    pending = ""
                    if anchor is original:
                        out += tails.pop(id(original), "")
                    leads[id(original)] = "\n" + indent
            else:
                comment = _own_lines(leads[id(original)], indent)
                if comment:
                    pending += ("\n" + indent if out else "") + comment.rstrip("\n ")
                    pending += "" if out else "\n" + indent
        if source.data.startswith(b"elif", first.start) and now and not isinstance(now[0], ast.If):
            head = f"else:\n{indent}    "
            return head + ("\n" + indent + "    ").join(self.statement(s, indent + "    ") for s in now)
        for statement in queue:
            out += pending + ("\n" + indent if out else "") + self.statement(statement, indent)
            pending = ""
        if "\n" in out and now and _shares_line(source, first.start):
            inner = f"\n{indent}    "
            return inner + inner.join(self.statement(s, inner[1:]) for s in now)
        return out + (pending.rstrip() if out else pending)

    def statement(self, node: ast.stmt, indent: str) -> str:
        """A statement's text; a rebuilt one is indented to fit."""
        memory = _memory(node)
        if memory is None and (printed := docstring(node, indent)):
            return printed
        text = self.expression(node)
        if memory is not None and memory.start >= 0:
            text = _moved(text, _indent(memory.source, memory.start), indent)
        if memory is None and "\n" in text:
            first, *rest = text.split("\n")
            # Inside brackets, kept text has its indentation already; blocks of statements never have.
            whole = hasattr(node, "body")
            text = "\n".join(
                [
                    first,
                    *(
                        indent + line if line.strip() and (whole or not line.startswith(indent + " ")) else line
                        for line in rest
                    ),
                ]
            )
        comment = getattr(node, "nf_comment", "")
        return "".join(f"{line}\n{indent}" for line in comment.splitlines()) + text

    def _print(self, node: ast.AST) -> str:
        """Print a rebuilt node; parts that come from the source keep their text."""
        kept: dict[str, str] = {}
        skeleton = self._skeleton(node, None, "", kept)
        text = ast.unparse(ast.fix_missing_locations(skeleton))
        return _substitute(text, kept)

    def _skeleton(self, node: Any, parent: ast.AST | None, name: str, kept: dict[str, str]) -> Any:
        memory = _memory(node)
        if parent is not None and memory is not None and memory.start >= 0 and _is_value(node):
            text = self.expression(node)
            if _needs_parentheses(parent, name, node, None):
                text = f"({text})"
            key = f"nf_kept_{len(kept)}_"
            kept[key] = text
            return ast.Name(key, ast.Load())
        if hasattr(node, "nf_inner"):
            key = f"nf_kept_{len(kept)}_"
            kept[key] = self.expression(node.value)[1:-1]
            return ast.Name(key, ast.Load())
        copy = type(node)()
        for field, value in ast.iter_fields(node):
            if isinstance(value, list):
                value = [
                    made
                    for v in value
                    for made in (
                        *_comments(v, kept),
                        self._skeleton(v, node, field, kept) if isinstance(v, ast.AST) else v,
                    )
                ]
            elif isinstance(value, ast.AST):
                value = self._skeleton(value, node, field, kept)
            setattr(copy, field, value)
        return copy


def _shares_line(source: Text, start: int) -> bool:
    """Whether a statement stands behind the colon of the one that it belongs to."""
    begin = source.data.rfind(b"\n", 0, start) + 1
    return bool(source.data[begin:start].strip())


def _comments(node: Any, kept: dict[str, str]) -> list[ast.stmt]:
    """Statements that stand for the comments in front of one."""
    keys = []
    for line in getattr(node, "nf_comment", "").splitlines() if isinstance(node, ast.stmt) else ():
        keys.append(f"nf_kept_{len(kept)}_")
        kept[keys[-1]] = line
    return [ast.Expr(ast.Name(key, ast.Load())) for key in keys]


def _name_end(node: Any, memory: _Memory, name: str | None = None) -> int:
    """The offset behind the name in ``def name`` or ``class name``."""
    keyword = memory.source.offset(node.lineno, node.col_offset)
    original = name or next(v for n, v in memory.fields if n == "name")
    return memory.source.data.index(original.encode(), keyword + 4) + len(original.encode())


def _closing(data: bytes, start: int) -> int:
    """The offset of the parenthesis that closes the one before ``start``."""
    depth = 0
    text = data[start:].decode()
    for token in tokenize.generate_tokens(io.StringIO("(" + text).readline):
        if token.type == tokenize.OP and token.string in "([{":
            depth += 1
        elif token.type == tokenize.OP and token.string in ")]}":
            depth -= 1
            if depth == 0:
                line, column = token.start
                lines = ("(" + text).splitlines(keepends=True)
                return start + len("".join([*lines[: line - 1], lines[line - 1][:column]]).encode()) - 1
    raise ValueError("no closing parenthesis")


def _indent(source: Text, offset: int) -> str:
    begin = source.data.rfind(b"\n", 0, offset) + 1
    line = source.data[begin:offset].decode()
    return line if not line.strip() else line[: len(line) - len(line.lstrip())]


def _moved(text: str, before: str, now: str) -> str:
    """The text of a statement that stands further out or in than it did; the lines of strings stay as they are."""
    if before == now or "\n" not in text:
        return text
    lines = text.split("\n")
    kept = _inside_strings(textwrap.dedent(before + text))
    for index, line in enumerate(lines[1:], 1):
        if line.startswith(before) and index not in kept:
            lines[index] = now + line[len(before) :]
    return "\n".join(lines)


def _inside_strings(text: str) -> set[int]:
    """The lines that begin within a string."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    found: set[int] = set()
    with contextlib.suppress(tokenize.TokenError, IndentationError):
        for token in tokens:
            if token.type == tokenize.STRING:
                found |= set(range(token.start[0], token.end[0]))
    return found


def _same_line(between: str) -> str:
    """The comment that follows a statement on its own line."""
    line = between.split("\n", 1)[0]
    return line if line.lstrip().startswith("#") else ""


def _own_lines(lead: str, indent: str) -> str:
    """The comments in ``lead`` that stand on lines of their own, ready to precede a statement."""
    lines = [line.strip() for line in lead.split("\n")[1:]]
    found = [line for line in lines if line.startswith("#")]
    return "".join(f"{line}\n{indent}" for line in found)


def _substitute(text: str, kept: dict[str, str]) -> str:
    for key in sorted(kept, key=len, reverse=True):
        text = text.replace(key, kept[key])
    return text


_LOOSE = {
    ast.Call: {"args"},
    ast.keyword: {"value"},
    ast.Tuple: {"elts"},
    ast.List: {"elts"},
    ast.Set: {"elts"},
    ast.Dict: {"keys", "values"},
    ast.Subscript: {"slice"},
    ast.Assign: {"value", "targets"},
    ast.AugAssign: {"value"},
    ast.AnnAssign: {"value", "annotation"},
    ast.Return: {"value"},
    ast.Expr: {"value"},
    ast.If: {"test"},
    ast.While: {"test"},
    ast.Assert: {"test", "msg"},
    ast.For: {"iter", "target"},
    ast.Slice: {"lower", "upper", "step"},
    ast.arguments: {"defaults", "kw_defaults"},
    ast.arg: {"annotation"},
    ast.ListComp: {"elt"},
    ast.GeneratorExp: {"elt"},
    ast.SetComp: {"elt"},
    ast.FormattedValue: {"value"},
    ast.FunctionDef: {"returns", "decorator_list"},
    ast.ClassDef: {"bases", "decorator_list"},
    ast.Raise: {"exc"},
    ast.Lambda: {"body"},
}


def _is_value(node: ast.AST) -> bool:
    """Whether a node is an expression that can stand anywhere."""
    return isinstance(node, ast.expr) and not isinstance(node, ast.Starred | ast.Slice)


def _needs_parentheses(parent: ast.AST, name: str, node: Any, before: ast.AST | None) -> bool:
    if isinstance(node, ast.Starred | ast.Slice | ast.keyword | ast.arg) or not isinstance(node, ast.expr):
        return False
    if before is not None and _parenthesised(before):
        return False
    if isinstance(node, ast.Tuple):
        if isinstance(parent, ast.Subscript | ast.Return | ast.Assign | ast.For) and name in {
            "slice",
            "value",
            "targets",
            "target",
            "iter",
        }:
            return False
        memory = _memory(node)
        text = memory.source.slice(memory.start, memory.end) if memory and memory.start >= 0 else "("
        return not text.startswith("(")
    if isinstance(node, ast.Constant):
        return isinstance(parent, ast.Attribute) and isinstance(node.value, int | float)
    if isinstance(node, _ATOMS):
        return False
    if isinstance(node, ast.GeneratorExp):
        return False
    if isinstance(node, ast.NamedExpr):
        return True
    for kind, names in _LOOSE.items():
        if isinstance(parent, kind) and name in names:
            return False
    if (
        isinstance(parent, ast.BinOp | ast.UnaryOp | ast.BoolOp | ast.Compare)
        and before is not None
        and type(before) is type(node)
    ):
        return isinstance(node, ast.BinOp) and type(getattr(before, "op", None)) is not type(node.op)
    return True


def _parenthesised(node: ast.AST) -> bool:
    """Whether the original text around ``node`` already has parentheses of its own."""
    memory = _memory(node)
    if memory is None or memory.start <= 0:
        return False
    left = memory.source.data[: memory.start].rstrip()
    right = memory.source.data[memory.end :].lstrip()
    if not (left.endswith(b"(") and right.startswith(b")")):
        return False
    opener = left[:-1].rstrip(b" ")[-1:]
    return not (opener.isalnum() or opener in (b"_", b")", b"]"))


def comments(text: str) -> Iterator[tuple[int, str]]:
    """The comments of a source text with their lines."""
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string
    except (tokenize.TokenError, IndentationError):
        return

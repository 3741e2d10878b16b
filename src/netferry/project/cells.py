"""Notebooks and markdown pages as one Python text, with the way back from a line to its cell."""

from __future__ import annotations

import ast
import bisect
import json
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from netferry.diagnostics import Diagnostic, failure
from netferry.walking import walk

_MAGIC: Final = re.compile(
    r"^(?P<indent>\s*)(?P<target>[\w, ]+=\s*)?(?:[!?]|%(?=[\w%])).*$|^(?P<help>\s*)[\w.]+\?\??\s*$"
)
_RUNS_PYTHON: Final = {"time", "timeit", "capture", "prun"}
_TAB: Final = re.compile(r"^\s*(?:%%tab|#@tab)\s+(?P<tabs>.+?)\s*$")
_FENCE: Final = re.compile(r"^(?P<fence>`{3,}|~{3,})\s*\{?\s*\.?(?P<language>[\w-]*)")


@dataclass(frozen=True)
class Cell:
    """One code cell: its number (from 1), the line of the file where its code starts (0 in a notebook), its code."""

    number: int
    start: int
    code: str


@dataclass(frozen=True)
class Text:
    """Python text put together from cells."""

    text: str
    starts: Sequence[int] = ()
    cells: Sequence[Cell] = ()
    notes: Sequence[Diagnostic] = field(default=())

    def place(self, path: Path, line: int) -> tuple[str, int]:
        """The file label and the line in it for a line of :attr:`text`."""
        if not self.cells or not line:
            return str(path), line
        index = max(bisect.bisect_right(self.starts, line) - 1, 0)
        cell, offset = self.cells[index], line - self.starts[index]
        return (str(path), cell.start + offset) if cell.start else (f"{path}[cell {cell.number}]", offset + 1)


def notebook(path: Path, content: str) -> Text:
    """The code cells of a Jupyter notebook, magics dropped."""
    try:
        cells = list(_notebook_cells(json.loads(content)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise failure("NF006", f"{path.name} is not a notebook: {error}", file=path) from error
    return _join(path, cells)


def _notebook_cells(document: dict[str, Any]) -> Iterator[Cell]:
    sheets = document.get("worksheets", [document])
    found = (cell for sheet in sheets for cell in sheet["cells"])
    for number, cell in enumerate(found, 1):
        if cell["cell_type"] == "code":
            source = cell["source"] if "source" in cell else cell["input"]
            yield Cell(number, 0, source if isinstance(source, str) else "".join(source))


def markdown(path: Path, content: str, tab: str = "") -> Text:
    """The fenced Python cells of a page; ``tab`` chooses among variants marked ``%%tab name``."""
    cells = list(_fenced(content))
    known = sorted({name for cell in cells for name in _tabs(cell)} - {"all"})
    if known and tab not in known:
        message = f"{path.name} holds its code in several variants: {', '.join(known)}"
        raise failure("NF004", message, file=path, hint=f"Choose one, for example tab={known[0]!r}.")
    wanted = [cell for cell in cells if not tab or not _tabs(cell) or _tabs(cell) & {tab, "all"}]
    return _join(path, wanted, tab)


def _fenced(content: str) -> Iterator[Cell]:
    fence, start, code, number = "", 0, list[str](), 0
    for line_number, line in enumerate(content.splitlines(), 1):
        if fence and line.strip() == fence:
            if start:
                number += 1
                yield Cell(number, start, "\n".join(_without_options(code)))
            fence = ""
        elif fence:
            code.append(line)
        elif match := _FENCE.match(line):
            python = match["language"].lower() in {"python", "py", "python3", "code-cell"}
            fence, start, code = match["fence"], line_number + 1 if python else 0, []


def _without_options(code: list[str]) -> list[str]:
    """A cell without the lines about it at its start: between two lines of hyphens, or each beginning with a colon."""
    end = 0
    if code and code[0].strip() == "---" and "---" in map(str.strip, code[1:]):
        end = 2 + [line.strip() for line in code[1:]].index("---")
    while end < len(code) and code[end].startswith(":"):
        end += 1
    return [*([""] * end), *code[end:]]


def _tabs(cell: Cell) -> set[str]:
    found = (_TAB.match(line) for line in cell.code.splitlines())
    return {name.strip() for match in found if match for name in match["tabs"].split(",")}


def _join(path: Path, cells: Sequence[Cell], tab: str = "") -> Text:
    parts, starts, notes, line = list[str](), list[int](), list[Diagnostic](), 1
    for cell in cells:
        code, error = _python(cell.code)
        if tab and "tab.selected(" in code:
            code = _for_tab(code, tab)
        if error:
            place, before = (str(path), cell.start - 1) if cell.start else (f"{path}[cell {cell.number}]", 0)
            where = (place, before + (error.lineno or 1), error.offset or 0)
            message = f"this cell is left out: {error.msg}"
            notes.append(Diagnostic("NF002", "warning", *where, message, text=error.text or ""))
        parts.append(code)
        starts.append(line)
        line += code.count("\n") + 2
    return Text("\n\n".join(parts) + "\n", starts, cells, notes)


def _python(code: str) -> tuple[str, SyntaxError | None]:
    """The cell without magics, line for line; blank lines and the error when it is not Python even so."""
    code = code.rstrip()
    if _parses(code) is None:
        return code, None
    lines = code.split("\n")
    first = lines[0].strip()
    if first.startswith("%%") and first[2:].split(" ")[0] not in _RUNS_PYTHON and not _TAB.match(first):
        return "\n" * (len(lines) - 1), None
    plain = "\n".join(_without_magic(line) for line in lines)
    error = _parses(plain)
    return ("\n" * (len(lines) - 1), error) if error else (plain, None)


def _for_tab(code: str, tab: str) -> str:
    """The code with only those branches of ``if tab.selected("a", "b")`` that are for ``tab``, line for line."""
    while True:
        tree = ast.parse(code)
        tests = (n for n in walk(tree) if isinstance(n, ast.If) and _selected(n.test) is not None)
        found = min(tests, key=lambda n: n.lineno, default=None)
        if found is None:
            return code
        body = found.body if tab in (_selected(found.test) or ()) else found.orelse
        code = _branch(code, found, body, _is_alone(tree, found))


def _selected(test: ast.expr) -> set[str] | None:
    """The variants that ``tab.selected(...)`` names; None for any other test."""
    match test:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="tab"), attr="selected"), args=names, keywords=[]):
            return {str(name.value) for name in names if isinstance(name, ast.Constant)}
    return None


def _is_alone(tree: ast.AST, node: ast.stmt) -> bool:
    """Whether a statement is all that its block holds."""
    return any(value == [node] for n in walk(tree) for _, value in ast.iter_fields(n))


def _branch(code: str, node: ast.If, body: Sequence[ast.stmt], is_alone: bool) -> str:
    """The code with one branch, moved to the left, in place of the whole statement."""
    lines, indent = code.split("\n"), " " * node.col_offset
    kept = [indent + "pass"] if is_alone else [""]
    first, last = node.lineno, node.lineno
    if body:
        first = node.test.end_lineno + 1 if body is node.body and node.test.end_lineno else body[0].lineno
        first, last = min(first, body[0].lineno), body[-1].end_lineno or 0
        kept = lines[first - 1 : last]
        if body is node.orelse and kept[0].lstrip().startswith("elif "):
            kept[0] = indent + kept[0].lstrip().removeprefix("el")
        shift = body[0].col_offset - node.col_offset
        kept = [line[shift:] if not line[:shift].strip() else line for line in kept]
    before, after = first - node.lineno, (node.end_lineno or last) - last
    return "\n".join([*lines[: node.lineno - 1], *[""] * before, *kept, *[""] * after, *lines[node.end_lineno :]])


def _without_magic(line: str) -> str:
    match = _MAGIC.match(line)
    if match is None:
        return line
    if match["target"]:
        return f"{match['indent']}{match['target']}None"
    indent = match["indent"] or match["help"]
    return f"{indent}pass" if indent else ""


def _parses(code: str) -> SyntaxError | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(code)
        except SyntaxError as error:
            return error
    return None

"""One source file: its text, its syntax tree with node ids, and how places in it are reported."""

from __future__ import annotations

import ast
import re
import tokenize
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from netferry.diagnostics import Diagnostic, NetferryError, Severity, failure
from netferry.project import cells
from netferry.walking import walk

SUFFIXES: Final = (".py", ".ipynb", ".md")
_PYTHON_2: Final = re.compile(
    r"^\s*print\s+[^=(\s]|^\s*print\s*>>|^\s*exec\s+['\"\w]|^\s*except\s+[\w.]+\s*,\s*\w+\s*:|^\s*raise\s+[\w.]+\s*,"
    r"|<>|\bur['\"]|\b\d+[lL]\b|(?<![\w.])0[0-7]+\b(?!\.)|`[^`]+`|\blambda\s*\("
)


def number_nodes(tree: ast.AST, first: int) -> int:
    """Give every node of ``tree`` that has a place an ``nf_id``, from ``first`` on; the next free number is returned."""
    for node in walk(tree):
        if isinstance(node, ast.expr_context | ast.operator | ast.unaryop | ast.boolop | ast.cmpop):
            continue  # The parser shares one instance of these among all places, of all files.
        node.nf_id = first  # type: ignore[attr-defined]
        first += 1
    return first


@dataclass(eq=False)
class SourceFile:
    """A parsed file of the project; every node of ``tree`` that has a place carries a project-wide ``nf_id``."""

    path: Path
    module: str
    code: cells.Text
    tree: ast.Module
    first_id: int = 0
    is_package: bool = False
    next_id: int = field(init=False)

    def __post_init__(self) -> None:
        self.next_id = number_nodes(self.tree, self.first_id)

    @property
    def text(self) -> str:
        """The Python text that the tree was parsed from."""
        return self.code.text

    @cached_property
    def lines(self) -> list[str]:
        """The text by lines, without line ends (split as Python's parser does)."""
        return re.split(r"\r\n|\r|\n", self.text)

    @property
    def package(self) -> str:
        """The package that relative imports start from."""
        return self.module if self.is_package else self.module.rpartition(".")[0]

    def place(self, line: int) -> tuple[str, int]:
        """The label of the file (with the cell of a notebook) and the line in it."""
        return self.code.place(self.path, line)

    def diagnostic(
        self, code: str, node: ast.AST | None, message: str, hint: str = "", severity: Severity = "error"
    ) -> Diagnostic:
        """A diagnostic about a node of this file."""
        number = getattr(node, "lineno", 0)
        file, line = self.place(number)
        text = self.lines[number - 1] if number else ""
        before = text.encode()[: getattr(node, "col_offset", 0)].decode(errors="replace")
        return Diagnostic(code, severity, file, line, len(before) + 1 if number else 0, message, hint, text)

    def error(self, code: str, node: ast.AST | None, message: str, hint: str = "") -> NetferryError:
        """The error to raise about a node of this file."""
        return NetferryError(self.diagnostic(code, node, message, hint))

    def absolute(self, node: ast.ImportFrom) -> str:
        """The absolute name of the module that ``from ... import`` takes its names from."""
        if not node.level:
            return node.module or ""
        parent = self.package.split(".")
        kept = parent[: len(parent) - node.level + 1]
        return ".".join([*kept, node.module] if node.module else kept)


def read(path: Path, module: str, first_id: int = 0, tab: str = "") -> SourceFile:
    """Read and parse a file; raises NF001, NF002, NF003, NF004, NF006."""
    if not path.exists():
        raise failure("NF001", f"there is no file {path}", file=path)
    if path.suffix not in SUFFIXES:
        raise failure("NF004", f"{path.name} is not something that can be read as Python", file=path)
    code = _code(path, tab)
    return SourceFile(path, module, code, _parse(path, code), first_id, path.name == "__init__.py")


def _code(path: Path, tab: str) -> cells.Text:
    try:
        if path.suffix == ".py":
            with tokenize.open(path) as stream:
                return cells.Text(stream.read())
        content = path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, SyntaxError) as error:
        raise failure("NF006", f"{path.name} is not text in its declared encoding: {error}", file=path) from error
    except OSError as error:
        raise failure("NF006", f"{path.name} cannot be read: {error.strerror}", file=path) from error
    return cells.notebook(path, content) if path.suffix == ".ipynb" else cells.markdown(path, content, tab)


def _parse(path: Path, code: cells.Text) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Invalid escapes in the user's strings are not our business.
        try:
            return ast.parse(code.text, filename=str(path))
        except SyntaxError as error:
            raise _syntax_error(path, code, error) from error
        except (ValueError, RecursionError, MemoryError) as error:
            raise failure("NF006", f"{path.name} cannot be parsed: {error}", file=path) from error


def _syntax_error(path: Path, code: cells.Text, error: SyntaxError) -> NetferryError:
    number = error.lineno or 0
    file, line = code.place(path, number)
    text = (error.text or "").rstrip("\n")
    old = _is_python_2(error, text)
    message = f"this is Python 2: {error.msg}" if old else f"syntax error: {error.msg}"
    return failure("NF003" if old else "NF002", message, file=file, line=line, column=error.offset or 0, text=text)


def _is_python_2(error: SyntaxError, line: str) -> bool:
    told = ("Missing parentheses in call to 'print'", "Missing parentheses in call to 'exec'")
    return isinstance(error, TabError) or (error.msg or "").startswith(told) or bool(_PYTHON_2.search(line))

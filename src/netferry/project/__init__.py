"""What to read: a file, a package, a module name or a notebook, and the definitions in it that matter."""

from __future__ import annotations

import ast
import difflib
import functools
import linecache
import re
import site
import sys
import sysconfig
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Final

from netferry.diagnostics import failure
from netferry.project.cells import Text
from netferry.project.files import SUFFIXES, SourceFile, read
from netferry.project.names import bound_names, imported_packages
from netferry.project.reachable import Reached, closure, definitions, exported, is_main_guard, is_star, resolve

__all__ = ["Project", "Reached", "SourceFile", "closure", "definitions", "is_main_guard", "load", "split"]

_ENTRY: Final = re.compile(r"(?P<source>.+?):(?P<entry>[^\W\d]\w*(?:\.[^\W\d]\w*)*)")
_MODULE: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_MARKERS: Final = (".git", "pyproject.toml", "setup.py", "setup.cfg")
_MARKER_DEPTH: Final = 6
_RELATIVE: Final = re.compile(r"^[ \t]*from[ \t]+(\.+)", re.MULTILINE)


@dataclass(eq=False)
class Project:
    """The files that belong together: the main one, and those it may import from beside it."""

    roots: tuple[Path, ...]
    package: str
    main: SourceFile
    entry: str | None = None
    adopted: dict[str, Path] = field(default_factory=dict)
    """Installed packages that are read like the project's own files: top-level name -> the folder that holds it."""
    foreign: Callable[[str], bool] = lambda module: False
    """Which modules are the framework's own, even where the main file is part of the same package."""
    _files: dict[str, SourceFile] = field(default_factory=dict)
    _paths: dict[str, Path | None] = field(default_factory=dict)
    _tops: dict[str, list[Path]] = field(default_factory=dict)
    star: dict[str, set[str]] = field(default_factory=dict)
    """Module -> what ``from module import *`` can bring, as far as it was asked for."""

    def __post_init__(self) -> None:
        self._files[self.main.module] = self.main
        self._paths[self.main.module] = self.main.path

    @property
    def root(self) -> Path:
        """The folder that module names start from."""
        return self.roots[0]

    @property
    def files(self) -> list[SourceFile]:
        """The files read so far."""
        return list(self._files.values())

    def owns(self, module: str) -> bool:
        """Whether a module of that name belongs to the project (and is read, not imported as a library)."""
        return module == self.main.module or (not self.foreign(module) and self._path(module) is not None)

    def submodule(self, package: str, name: str) -> bool:
        """Whether ``from package import name`` gives a module: not where the package itself binds the name otherwise."""
        if not self.owns(f"{package}.{name}"):
            return False
        file = self.file(package) if self.owns(package) else None
        return file is None or not any(self._binds(file, statement, package, name) for statement in file.tree.body)

    def _binds(self, file: SourceFile, statement: ast.stmt, package: str, name: str) -> bool:
        """Whether a statement of a package's own file gives the name another meaning than the module of that name."""
        if not isinstance(statement, ast.ImportFrom):
            return name in bound_names([statement])
        origin = file.absolute(statement)
        if origin == package:
            return False
        return name in (
            exported(self, origin) if is_star(statement) and self.owns(origin) else bound_names([statement])
        )

    def adopt(self, packages: Collection[str]) -> None:
        """Read the given installed packages too, as far as the main file imports them."""
        for name in sorted(imported_packages(self.main.tree) & set(packages)):
            found = PathFinder.find_spec(name)
            if name != self.package and found is not None and found.submodule_search_locations:
                self.adopted[name] = Path(next(iter(found.submodule_search_locations))).parent
                self._paths.clear()
                self._paths[self.main.module] = self.main.path

    def file(self, module: str) -> SourceFile:
        """The file of a module of the project; raises KeyError for any other."""
        if module not in self._files:
            path = self._path(module)
            if path is None:
                raise KeyError(module)
            first = max(file.next_id for file in self._files.values())
            self._files[module] = read(path, module, first)
        return self._files[module]

    def modules(self) -> Iterator[str]:
        """The names of all modules of the project's package, or of the main file's folder."""
        base = self.root / self.package if self.package else self.main.path.parent
        for path in sorted(base.rglob("*.py") if self.package else base.glob("*.py")):
            parts = path.relative_to(self.root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            if _MODULE.fullmatch(name):
                yield name

    def located(self, node: ast.AST) -> SourceFile:
        """The file that a node with an ``nf_id`` comes from."""
        number: int = node.nf_id  # type: ignore[attr-defined]
        return next(file for file in self._files.values() if file.first_id <= number < file.next_id)

    def _path(self, module: str) -> Path | None:
        if module not in self._paths:
            self._paths[module] = self._search(module)
        return self._paths[module]

    def _search(self, module: str) -> Path | None:
        if not _MODULE.fullmatch(module):
            return None
        top = module.split(".")[0]
        if top in self.adopted:
            return _module_path(self.adopted[top], module)
        if self.package and top == self.package:
            return _module_path(self.root, module)
        found = (_module_path(root, module) for root in self._roots_of(top))
        return next((path for path in found if path and path.suffix == ".py"), None)

    def _roots_of(self, top: str) -> list[Path]:
        """The roots in which a top-level module or package of that name lies."""
        if top not in self._tops:
            roots = [root for root in self.roots if not _is_library_folder(root)]
            self._tops[top] = [r for r in roots if (r / top).is_dir() or (r / f"{top}.py").is_file()]
        return self._tops[top]


def _module_path(root: Path, module: str) -> Path | None:
    base = root.joinpath(*module.split("."))
    for path in (base / "__init__.py", base.with_name(f"{base.name}.py")):
        if path.is_file():
            return path
    return None


@functools.cache
def _is_library_folder(folder: Path) -> bool:
    """Whether libraries are installed there: what lies beside a file in it is not its project."""
    known = {*site.getsitepackages(), site.getusersitepackages(), sysconfig.get_path("stdlib")}
    return folder.name in {"site-packages", "dist-packages"} or str(folder) in known


def split(source: str | Path) -> tuple[str, str | None]:
    """Split ``SOURCE[:ENTRY]``; a drive letter is no source.

    >>> split("models/resnet.py:ResNet18")
    ('models/resnet.py', 'ResNet18')
    """
    text = str(source)
    match = _ENTRY.fullmatch(text)
    if match is None or Path(text).exists() or (len(match["source"]) == 1 and match["source"].isalpha()):
        return text, None
    return match["source"], match["entry"]


def load(source: str | Path, entry: str | None = None, *, tab: str = "") -> Project:
    """Find and parse what ``SOURCE[:ENTRY]`` names, without running any of it.

    Raises NF001 to NF006 for a source that cannot be read, NF012 for an entry that it does not define.
    """
    name, named = split(source)
    path = _locate(name)
    roots, package, module = _identity(path, _relative_depth(path))
    project = Project(roots, package, read(path, module, tab=tab), entry or named)
    project.roots += _importing(project)
    if project.entry:
        _find_entry(project, project.entry)
    return project


def of_text(text: str, label: str, entry: str, folders: Mapping[str, Path]) -> Project:
    """A project of one text that no file holds; ``label`` is what its places are reported by.

    The modules in ``folders`` are read along, each from the folder that holds it.
    """
    lines = text.splitlines(keepends=True)
    linecache.cache[label] = (len(text), None, lines, label)
    module = re.sub(r"\W", "_", Path(label).stem).strip("_") or "network"
    main = SourceFile(Path(label), module, Text(text), ast.parse(text))
    return Project((Path.cwd(), *dict.fromkeys(folders.values())), "", main, entry, dict(folders))


def _locate(name: str) -> Path:
    path = Path(name).expanduser()
    if path.is_dir():
        return _main_of(path.resolve())
    if path.is_file():
        return path.absolute()
    if path.suffix in SUFFIXES or "/" in name or "\\" in name:
        raise failure("NF001", f"there is no file {name}", file=name)
    if not _MODULE.fullmatch(name):
        raise failure("NF004", f"{name!r} is neither a file nor a module name", file=name)
    return _main_of(_installed(name))


def _main_of(path: Path) -> Path:
    """The file to read for a file or a package folder."""
    if path.is_file():
        return path
    if (path / "__init__.py").is_file():
        return path / "__init__.py"
    files = sorted(path.glob("*.py"))
    preferred = [f for f in files if f.stem in {path.name, "model", "models", "network", "net", "main"}]
    if not files:
        raise failure("NF004", f"the folder {path.name} holds no Python files", file=path)
    if len(files) == 1 or preferred:
        return files[0] if len(files) == 1 else preferred[0]
    names = ", ".join(f.name for f in files[:8])
    raise failure("NF011", f"the folder holds several files: {names}", file=path, hint="Name one of the files.")


def _installed(name: str) -> Path:
    """Where the module of that name lies, found without importing it or its parents."""
    top, *rest = name.split(".")
    found = PathFinder.find_spec(top, [str(Path.cwd()), *sys.path])
    if found is None:
        raise failure("NF005", f"there is no file and no module {name}", file=name)
    folders = [Path(folder) for folder in found.submodule_search_locations or ()]
    candidates = [_module_path(folder.parent, name) for folder in folders]
    if not rest and found.origin:
        candidates.insert(0, Path(found.origin))
    path = next((p for p in candidates if p is not None), None)
    if path is None:
        raise failure("NF005", f"{top} is installed, but there is no module {name}", file=name)
    if path.suffix != ".py":
        raise failure("NF004", f"{name} is compiled ({path.name}); its source is needed", file=name)
    return path


def _relative_depth(path: Path) -> int:
    """How many folders up the relative imports of a module reach: so many are packages, with or without ``__init__``."""
    if path.suffix != ".py" or path.name == "__init__.py" or not path.is_file():
        return 0
    dots = _RELATIVE.findall(path.read_text(encoding="utf-8", errors="replace"))
    return max(map(len, dots), default=0)


def _is_free(name: str) -> bool:
    """Whether no installed package has that name."""
    found = PathFinder.find_spec(name)
    return found is None or found.origin is None


def _importing(project: Project) -> tuple[Path, ...]:
    """The nearest folders above the main file that hold what it imports and nobody installed: scripts extend the path."""
    above = [p for p in project.main.path.absolute().parents[:_MARKER_DEPTH] if p not in project.roots]
    found: dict[Path, None] = {}
    for top in sorted(imported_packages(project.main.tree)):
        if top not in sys.stdlib_module_names and not project._roots_of(top) and _is_free(top):
            found |= dict.fromkeys([p for p in above if _module_path(p, top) or (p / top).is_dir()][:1])
    project._tops.clear()
    return tuple(found)


def _identity(path: Path, depth: int) -> tuple[tuple[Path, ...], str, str]:
    """The folders to look for the project's modules in, the top package and the module name of a file."""
    parts = [] if path.name == "__init__.py" else [re.sub(r"\W", "_", path.stem)]
    folder = path.parent
    while _MODULE.fullmatch(folder.name):
        if not (folder / "__init__.py").is_file() and (len(parts) > depth or not depth or not _is_free(folder.name)):
            break
        parts.insert(0, folder.name)
        folder = folder.parent
    package = parts[0] if folder != path.parent else ""
    roots = dict.fromkeys([folder, path.parent, *_marked(folder)])
    return tuple(roots), package, ".".join(parts)


def _marked(folder: Path) -> list[Path]:
    """The top folder of the repository around ``folder``, from which scripts may import."""
    near = [folder, *folder.parents][:_MARKER_DEPTH]
    return [p for p in near if any((p / marker).exists() for marker in _MARKERS)][:1]


def _find_entry(project: Project, entry: str) -> None:
    """Move the main file to the one that defines the entry; raises NF012."""
    name = entry.split(".")[0]
    found = resolve(project, project.main, name)
    if found is not None:
        project.main = found
        return
    known = sorted(n for n in bound_names(project.main.tree.body) if not n.startswith("_"))
    near = difflib.get_close_matches(name, known, n=3)
    hint = f"Did you mean {' or '.join(near)}?" if near else ""
    raise failure("NF012", f"{project.main.path.name} does not define {entry}", file=project.main.path, hint=hint)

"""The frameworks netferry knows, and where the conventions of each are."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from netferry.diagnostics import failure
from netferry.walking import walk


@dataclass(frozen=True)
class Framework:
    """One framework's conventions, loaded when first needed."""

    name: str
    title: str
    package: str
    module: str
    extra: str
    channels_last: bool
    """Whether its convolutions want the channels of images last."""

    explicit_sizes: bool = False
    """Whether its layers must be told the sizes of what they are called with."""

    traced: bool = True
    """Whether calls are traced into graphs, so that they must not keep tensors for the next one."""

    whole_to_real: bool = True
    """Whether functions of real numbers (``sqrt``) take whole ones too."""

    files: tuple[str, ...] = ()
    """The suffixes of files that hold a whole network, its graph and its weights."""

    weights: str = ".safetensors"
    """The suffix of the weights file that its users expect beside the code."""

    def whole(self) -> Any:
        """What reads networks that have no source, or None where they always have."""
        name = f"{__package__}.{self.package}.whole"
        return self._load("whole") if importlib.util.find_spec(name) is not None else None

    supplied: Mapping[str, str] = field(default_factory=dict)
    """Arguments that networks are always made with, and expressions for them."""

    def _load(self, module: str) -> Any:
        require(self.module, self.title, self.extra)
        return importlib.import_module(f"{__package__}.{self.package}.{module}")

    def reading(self) -> Any:
        """The conventions for reading."""
        return self._load("reading").conventions(self.name)

    def writing(self) -> Any:
        """The conventions for writing."""
        return importlib.import_module(f"{__package__}.{self.package}.writing").conventions(self.name)

    def runtime(self, *, reading: bool = False) -> Any:
        """What verification needs; ``reading`` tells that it is to run the source's code."""
        from netferry.frameworks.base import runtime

        require(self.module, self.title, self.extra)
        return runtime(self.name, reading=reading)

    def bases(self) -> tuple[frozenset[str], str]:
        """The base classes of networks, and what to call them."""
        return self._load("guess").BASES  # type: ignore[no-any-return]

    def guess(self, project: Any, entry: str, call: str) -> tuple[list[Any], str]:
        """Inputs guessed from the source, with the reason."""
        return self._load("guess").inputs(project, entry, call)  # type: ignore[no-any-return]


_FRAMEWORKS = {
    "torch": Framework(
        "torch",
        "PyTorch",
        "torch",
        "torch",
        "torch",
        channels_last=False,
        explicit_sizes=True,
        traced=False,
        weights=".pt",
    ),
    "tensorflow": Framework(
        "tensorflow",
        "TensorFlow",
        "keras",
        "tensorflow",
        "tensorflow",
        channels_last=True,
        whole_to_real=False,
        weights=".weights.h5",
    ),
    "keras": Framework(
        "keras",
        "Keras",
        "keras",
        "keras",
        "tensorflow",
        channels_last=True,
        files=(".keras", ".h5", ".hdf5"),
        weights=".weights.h5",
    ),
    "flax": Framework(
        "flax",
        "Flax",
        "flax",
        "flax",
        "flax",
        channels_last=True,
        explicit_sizes=True,
        supplied={"rngs": "nnx.Rngs(0)"},
    ),
}


_SOURCES = (("flax", "flax"), ("torch", "torch"), ("tensorflow", "tensorflow"), ("keras", "keras"))
"""What a file imports, and what it is then written in; the first that fits decides."""


def get(name: str) -> Framework:
    """The framework of that name; raises NF064 for an unknown one."""
    if name not in _FRAMEWORKS:
        raise failure("NF064", f"unknown framework {name!r}; known are {', '.join(_FRAMEWORKS)}")
    return _FRAMEWORKS[name]


def known() -> list[Framework]:
    """All frameworks."""
    return list(_FRAMEWORKS.values())


def require(module: str, title: str, extra: str) -> None:
    """Raise NF023 where a framework is not installed."""
    if importlib.util.find_spec(module) is None:
        raise failure("NF023", f"{title} is not installed", hint=f'Install it: pip install "netferry[{extra}]".')


def detect(project: Any) -> str:
    """The framework a source is written in, from its imports; raises NF015."""
    from netferry.project.names import imported_packages

    for files in ([project.main], _reached(project)):
        found = set().union(*(imported_packages(f.tree) for f in files))
        known = [(package, name) for package, name in _SOURCES if package in found]
        if len(known) > 1 and (chosen := _default(files)):
            return chosen
        if known:
            return known[0][1]
    raise failure("NF015", f"{project.main.path.name} imports no framework that can be read", file=project.main.path)


def _default(files: Sequence[Any]) -> str:
    """The framework that comes first where one file imports several in the branches of a choice; empty without such."""
    names = dict(_SOURCES)
    for file in files:
        branches = [n for n in file.tree.body if isinstance(n, ast.If)]
        imports = (n for b in branches for n in ast.walk(b) if isinstance(n, ast.Import | ast.ImportFrom))
        ordered = sorted(imports, key=lambda n: n.lineno)
        packages = [a.name for n in ordered if isinstance(n, ast.Import) for a in n.names]
        found = list(dict.fromkeys(names[p] for p in packages if p in names))
        if len(found) > 1:
            return found[0]
    return ""


def _reached(project: Any) -> list[Any]:
    """The project's own files which the main one reaches, itself included."""
    found: list[Any] = []
    waiting, seen = [project.main], {project.main.module}
    while waiting:
        file = waiting.pop()
        found.append(file)
        modules = {file.absolute(n) for n in walk(file.tree) if isinstance(n, ast.ImportFrom)}
        for module in sorted(modules - seen):
            seen.add(module)
            if project.owns(module):
                waiting.append(project.file(module))
    return found


def target_of(project: Any) -> str:
    """The framework that a target file is written for, from its imports."""
    from netferry.project.names import imported_packages

    found = imported_packages(project.main.tree)
    for package, name in (("tensorflow", "tensorflow"), ("keras", "keras"), ("torch", "torch"), ("flax", "flax")):
        if package in found:
            return name
    raise failure("NF015", f"{project.main.path.name} imports no framework that is known", file=project.main.path)

"""The frameworks netferry knows, and where the conventions of each are."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from dataclasses import dataclass
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
        "torch", "PyTorch", "torch", "torch", "torch", channels_last=False, explicit_sizes=True, traced=False
    ),
    "tensorflow": Framework(
        "tensorflow", "TensorFlow", "keras", "tensorflow", "tensorflow", channels_last=True, whole_to_real=False
    ),
    "keras": Framework("keras", "Keras", "keras", "keras", "tensorflow", channels_last=True),
    "flax": Framework("flax", "Flax NNX", "flax", "flax", "flax", channels_last=True, explicit_sizes=True),
}


_SOURCES = (("flax", "flax"), ("torch", "torch"), ("tensorflow", "tensorflow"), ("keras", "keras"))
"""What a file imports, and what it is then written in; the first that fits decides."""


def get(name: str) -> Framework:
    """The framework of that name; raises NF064 for an unknown one."""
    if name not in _FRAMEWORKS:
        raise failure("NF064", f"unknown framework {name!r}; known are {', '.join(_FRAMEWORKS)}")
    return _FRAMEWORKS[name]


def require(module: str, title: str, extra: str) -> None:
    """Raise NF023 where a framework is not installed."""
    if importlib.util.find_spec(module) is None:
        raise failure("NF023", f"{title} is not installed", hint=f'Install it: pip install "netferry[{extra}]".')


def detect(project: Any) -> str:
    """The framework a source is written in, from its imports; raises NF015."""
    from netferry.project.names import imported_packages

    for found in (imported_packages(project.main.tree), _imported_beyond(project)):
        for package, name in _SOURCES:
            if package in found:
                return name
    raise failure("NF015", f"{project.main.path.name} imports no framework that can be read", file=project.main.path)


def _imported_beyond(project: Any) -> set[str]:
    """The packages that the project's own files import which the main one reaches."""
    from netferry.project.names import imported_packages

    found: set[str] = set()
    waiting, seen = [project.main], {project.main.module}
    while waiting:
        file = waiting.pop()
        found |= imported_packages(file.tree)
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

"""Manifests of published networks: JSON lines, one network each, and where their code lies on this machine."""

from __future__ import annotations

import hashlib
import json
import re
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import corpus_call

_OF_ONE_ARGUMENT = frozenset({"subclass", "subclass(Layer)"})
"""Styles of networks whose inputs, if they are several, are given as one list."""
_PLACE = re.compile(r"\{([^}]+)\}/(.*)")


@dataclass(frozen=True)
class Row:
    """One network of a manifest; ``fields`` is the line as it was read."""

    fields: Mapping[str, Any]
    root: Path

    @property
    def id(self) -> str:
        """The name of the network in reports."""
        return str(self.fields["id"])

    @property
    def slug(self) -> str:
        """The name of the network as a file name; a checksum keeps shortened names apart."""
        name = re.sub(r"\W+", "_", self.id).strip("_")
        return name if len(name) <= 100 else f"{name[:91]}_{hashlib.sha256(self.id.encode()).hexdigest()[:8]}"

    @property
    def load(self) -> str:
        """How the source is read: ``module``, ``file`` or ``extract``; cells and scripts, which train, are taken apart."""
        return str(self.fields.get("load") or ("extract" if _trains(self.file) else "file"))

    @property
    def package(self) -> str:
        """The distribution or repository the network comes from."""
        return str(self.fields.get("package", ""))

    @property
    def file(self) -> Path:
        """Where the source file lies on this machine."""
        return locate(str(self.fields["file"]), self.package, self.root)

    @property
    def source(self) -> str:
        """What netferry is given: an importable name, or a path."""
        return str(self.fields["module"]) if self.load == "module" else str(self.file)

    @property
    def entry(self) -> str:
        """The class or builder function; empty where the network is an expression of its own."""
        entry = str(self.fields["entry"])
        return entry if entry.isidentifier() else ""

    @property
    def call(self) -> str:
        """The expression that builds the network."""
        return str(self.fields["call"])

    @property
    def inputs(self) -> list[dict[str, Any]]:
        """The input specifications, in the manifest's form; a call that is written out is taken apart."""
        given = list(self.fields["inputs"])
        forward = self.fields.get("forward")
        if forward:
            return corpus_call.inputs(forward, given)
        together = self.fields.get("style", "") in _OF_ONE_ARGUMENT and len(given) > 1
        return [{"list": given}] if together else given

    @property
    def stochastic(self) -> bool:
        """Whether the network's eval output is random."""
        return bool(self.fields.get("stochastic_eval", False))

    def options(self) -> dict[str, Any]:
        """Further arguments of ``netferry.migrate``: only those that the manifest gives."""
        given = {name: self.fields[name] for name in ("kwargs",) if self.fields.get(name)}
        code = [str(self.fields[name]) for name in ("prelude", "setup") if self.fields.get(name)]
        if code:
            given["prelude"] = "\n".join(code)
        if self.tab:
            given["tab"] = self.tab
        return given

    @property
    def tab(self) -> str:
        """Which variant of a chapter's code is meant; empty for a source without variants."""
        return str(self.fields.get("tab", "pytorch" if self.file.suffix == ".md" else ""))


def _trains(path: Path) -> bool:
    """Whether a file is a page, a notebook or a script outside packages: what is no library."""
    return path.suffix in (".md", ".ipynb") or not (path.parent / "__init__.py").exists()


def locate(file: str, package: str, root: Path) -> Path:
    """The path of a manifest's ``file``.

    >>> locate("{owner/name}/a/b.py", "", Path("checkouts")).as_posix()
    'checkouts/owner__name/a/b.py'
    """
    place = _PLACE.fullmatch(file)
    if place:
        package, file = place.groups()
    if re.fullmatch(r"[\w.-]+/[\w.-]+", package):
        return root / package.replace("/", "__") / file
    return Path(sysconfig.get_paths()["purelib"]) / file


def read(manifest: Path, root: Path, only: str = "", limit: int = 0) -> list[Row]:
    """The rows of a manifest whose id matches ``only``, at most ``limit`` of them."""
    lines = manifest.read_text(encoding="utf-8").splitlines()
    rows = [Row(json.loads(line), root) for line in lines if line.strip()]
    rows = [row for row in rows if re.search(only, row.id)]
    return rows[:limit] if limit else rows

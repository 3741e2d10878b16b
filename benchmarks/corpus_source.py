"""The source network of a row, built and run without netferry: what a row can do at all on this machine."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.corpus_manifest import Row

Namespace = dict[str, Any]
_MARKDOWN_FENCE = "```"
_GROWS = frozenset({"add", "append", "extend", "build"})
"""Methods that go on building what a script has begun."""


def namespace(row: Row) -> Namespace:
    """The names among which the row's ``call`` is evaluated."""
    loaders: Mapping[str, Callable[[Row], Namespace]] = {"module": _module, "file": _file, "extract": _extract}
    found = loaders[row.load](row)
    for code in (row.fields.get("prelude"), row.fields.get("setup")):
        exec(code or "", found)
    return found


def build(row: Row) -> Any:
    """The source network."""
    return eval(row.call, namespace(row))


def _module(row: Row) -> Namespace:
    return dict(vars(importlib.import_module(str(row.fields["module"]))))


def _file(row: Row) -> Namespace:
    path = row.file
    name = f"corpus_{path.stem}".replace("-", "_")
    # scripts import their neighbours, and the packages beside them
    sys.path[:0] = [str(path.parent), *(str(p) for p in path.parents[1:3])]
    if (path.parent / "__init__.py").exists():
        return dict(vars(_package_member(path)))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return dict(vars(module))


def _package_member(path: Path) -> ModuleType:
    """Import a file of a package by its dotted name; the package's own ``__init__`` need not work."""
    top = path.parent
    while (top.parent / "__init__.py").exists():
        top = top.parent
    sys.path.insert(0, str(top.parent))
    return importlib.import_module(".".join(path.relative_to(top.parent).with_suffix("").parts))


def _extract(row: Row) -> Namespace:
    """Only the definitions that the entry and the call reach: importing the file would train."""
    tree = ast.parse(python_of(row.file, row.tab))
    found: Namespace = {"__name__": "corpus", "tab": SimpleNamespace(selected=lambda *names: row.tab in names)}
    sys.path[:0] = map(str, row.file.parents[:3])
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            _execute(node, found, guarded=True)
    exec(row.fields.get("prelude") or "", found)
    wanted = _names([ast.parse(row.call)]) | {row.entry}
    given = set(found)  # the prelude replaces the script's own constants
    for node in _reachable(tree.body, wanted, given):
        _execute(node, found, guarded=not isinstance(node, ast.ClassDef | ast.FunctionDef))
    return found


def _execute(node: ast.stmt, names: Namespace, *, guarded: bool) -> None:
    """Run one statement; a guarded one may fail (an import that is not needed, a constant of the training)."""
    try:
        exec(compile(ast.Module([node], []), "<corpus>", "exec"), names)
    except (Exception, SystemExit):  # a script may parse its command line
        if not guarded:
            raise


def _reachable(body: list[ast.stmt], wanted: set[str], given: set[str]) -> list[ast.stmt]:
    """The definitions and assignments whose names are wanted and not given, and those that they use, in order."""
    taken: set[int] = set()
    while True:
        more = [i for i, node in enumerate(body) if i not in taken and _defined(node) & wanted - given]
        if not more:
            return [body[i] for i in sorted(taken)]
        taken.update(more)
        wanted = wanted | _names(body[i] for i in more)


def _defined(node: ast.stmt) -> set[str]:
    match node:
        case ast.ClassDef():
            return {node.name}
        case ast.FunctionDef():  # "@add_to_class(Net)" belongs to the class
            arguments = [a for d in node.decorator_list if isinstance(d, ast.Call) for a in d.args]
            return {node.name} | _names(arguments)
        case ast.Assign():
            return {n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)}
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method))):
            return {name} if method in _GROWS else set()
        case ast.For() | ast.If() | ast.With() | ast.AnnAssign() | ast.AugAssign():
            return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return set()


def _names(nodes: Iterable[ast.AST]) -> set[str]:
    return {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name)}


def python_of(path: Path, tab: str) -> str:
    """The Python of a script, of a notebook's cells, or of a chapter's cells of one ``tab``."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = [c["source"] for c in json.loads(text)["cells"] if c["cell_type"] == "code"]
        return "\n".join(_plain("".join(cell)) for cell in cells)
    if path.suffix != ".md":
        return text
    cells = [block.partition("\n")[2] for block in text.split(_MARKDOWN_FENCE)[1::2] if "python" in block[:20]]
    # in chapters of the older kind a cell without a mark is for one framework only
    unmarked = "#@tab" not in text
    return "\n".join(_plain(cell) for cell in cells if _of_tab(cell, tab, unmarked=unmarked))


def _of_tab(cell: str, tab: str, *, unmarked: bool) -> bool:
    first = cell.partition("\n")[0]
    return tab in first or "all" in first if first.startswith(("%%tab", "#@tab")) else unmarked


def _plain(cell: str) -> str:
    """A cell without the lines that are commands of the notebook."""
    return "\n".join(line for line in cell.splitlines() if not line.lstrip().startswith(("%", "!")))


def arguments(row: Row, seed: int) -> tuple[list[Any], dict[str, Any]]:
    """Positional and keyword arguments of the network's call: NumPy arrays, plain values, source tensors."""
    generator = np.random.default_rng(seed)
    positional: list[Any] = []
    keyword: dict[str, Any] = {}
    for spec in row.inputs:
        value = _value(spec, generator, seed)
        if "name" in spec:
            keyword[spec["name"]] = value
        else:
            positional.append(value)
    if row.fields.get("kwargs"):
        keyword |= eval(row.fields["kwargs"])
    return positional, keyword


def _value(spec: Mapping[str, Any], generator: np.random.Generator, seed: int) -> Any:
    match spec:
        case {"expr": str(code)}:
            return _expression(code, seed)
        case {"list": list(items)}:
            return [_value(item, generator, seed) for item in items]
        case {"tuple": list(items)}:
            return tuple(_value(item, generator, seed) for item in items)
        case {"value": value}:
            return np.asarray(value, spec["dtype"]) if "dtype" in spec else value
        case {"fill": value}:
            return np.full(spec["shape"], value, spec["dtype"])
    dtype = spec.get("dtype", "float32")
    if "int" in dtype:
        low = spec.get("low", 0)
        return generator.integers(low, spec.get("high", low + 10), spec["shape"]).astype(dtype)
    if dtype == "bool":
        return generator.random(spec["shape"]) < 0.5
    return generator.standard_normal(spec["shape"]).astype(dtype)


def _expression(code: str, seed: int) -> Any:
    """Evaluate an input written in PyTorch; ``g`` is its random generator."""
    import torch

    return eval(code, {"torch": torch, "g": torch.Generator().manual_seed(seed)})


def as_tensors(value: Any) -> Any:
    """NumPy arrays, also inside lists and tuples, as torch tensors."""
    import torch

    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if isinstance(value, list | tuple):
        return type(value)(as_tensors(v) for v in value)
    return value


def run(row: Row) -> dict[str, Any]:
    """Build a PyTorch row and run it once; parameters and output shapes are compared with the manifest."""
    import torch

    network = evaluated(build(row))
    positional, keyword = arguments(row, seed=0)
    with torch.no_grad():
        output = network(*as_tensors(positional), **{k: as_tensors(v) for k, v in keyword.items()})
    shapes = [list(t.shape) for t in flatten(output)]
    parameters = sum(p.numel() for p in network.parameters() if p.requires_grad)
    notes = []
    if shapes != row.fields.get("output_shapes", shapes):
        notes.append(f"output shapes {shapes}, not {row.fields['output_shapes']}")
    if parameters != row.fields.get("params", parameters):
        notes.append(f"{parameters} parameters, not {row.fields['params']}")
    return {"status": "built", "message": "; ".join(notes)}


def evaluated(network: Any) -> Any:
    """The network in eval mode; one that gives ``train`` another meaning stays as it is."""
    try:
        return network.eval()
    except TypeError:
        return network


def flatten(output: Any) -> list[Any]:
    """Every array of an output, in order: lists, tuples, mappings and dataclasses are opened."""
    if output is None or isinstance(output, bool | int | float | str):
        return []
    if hasattr(output, "shape"):
        return [output]
    if isinstance(output, Mapping):
        return [leaf for value in output.values() for leaf in flatten(value)]
    if isinstance(output, Iterable):
        return [leaf for value in output for leaf in flatten(value)]
    return [leaf for value in vars(output).values() for leaf in flatten(value)]

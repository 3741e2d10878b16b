"""The live signatures of framework callables: from Python, or from the stubs that PyTorch ships for its built-ins."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from netferry.ops.core import Parameter, Spelling

UNKNOWN = object()
"""A default that cannot be compared with a recorded one."""


def resolve(path: str) -> Any:
    """The object of a dotted path."""
    parts = path.split(".")
    if parts[0] == "tf":
        parts[0] = "tensorflow"
    for split in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:split]))
        except ImportError:
            continue
        return functools.reduce(getattr, parts[split:], found)
    raise ImportError(path)


def live(spelling: Spelling) -> list[tuple[Parameter, ...]] | None:
    """The signatures that the callable of a spelling has; None where none can be found."""
    found = resolve(spelling.path)
    written_in_python = inspect.isfunction(found) or inspect.isclass(found)
    if not written_in_python and (stubbed := _stubs().get(_stub_name(spelling.path))):
        return stubbed
    if type(found).__name__ == "ufunc":  # JAX's show nothing but ``*args``.
        return None
    function = found.__init__ if inspect.isclass(found) else found
    try:
        signatures = [inspect.signature(f) for f in typing.get_overloads(function) or [function]]
    except (ValueError, TypeError, AttributeError):
        return None
    return [
        tuple(_parameter(p) for p in parameters[inspect.isclass(found) :] if p.kind is not p.VAR_KEYWORD)
        for parameters in (list(s.parameters.values()) for s in signatures)
    ]


def takes_any_keyword(path: str) -> bool:
    """Whether the callable accepts keywords that its signature does not name."""
    found = resolve(path)
    try:
        signature = inspect.signature(found.__init__ if inspect.isclass(found) else found)
    except (ValueError, TypeError):
        return False
    return any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())


def _parameter(p: inspect.Parameter) -> Parameter:
    variadic = p.kind is p.VAR_POSITIONAL
    if variadic or p.default is p.empty:
        return Parameter(p.name, variadic=variadic, keyword_only=p.kind is p.KEYWORD_ONLY)
    plain = isinstance(p.default, bool | int | float | str | tuple | None)
    return Parameter(p.name, p.default if plain else UNKNOWN, keyword_only=p.kind is p.KEYWORD_ONLY)


def _stub_name(path: str) -> tuple[str, str]:
    owner, _, name = path.rpartition(".")
    owners = {"torch.Tensor": "Tensor", "torch": "", "torch.nn.functional": ""}
    return (owners.get(owner, owner), name)


@functools.cache
def _stubs() -> dict[tuple[str, str], list[tuple[Parameter, ...]]]:
    """(class or "", name) -> overloads, of PyTorch's built-in functions and tensor methods."""
    import torch

    root = Path(torch.__file__).parent
    found: dict[tuple[str, str], list[tuple[Parameter, ...]]] = {}
    for file in ("_C/_nn.pyi", "_C/_VariableFunctions.pyi"):
        _collect("", ast.parse((root / file).read_text()).body, found)
    for node in ast.parse((root / "_C/__init__.pyi").read_text()).body:
        if isinstance(node, ast.ClassDef) and node.name == "TensorBase":
            _collect("Tensor", node.body, found)
    for name in [n for o, n in found if o == "Tensor" and n in vars(torch.Tensor)]:
        del found["Tensor", name]
    return found


def _collect(owner: str, body: list[ast.stmt], found: dict[tuple[str, str], list[tuple[Parameter, ...]]]) -> None:
    for node in body:
        if isinstance(node, ast.FunctionDef):
            found.setdefault((owner, node.name), []).append(tuple(_stub_parameters(node.args)))


def _stub_parameters(arguments: ast.arguments) -> Iterator[Parameter]:
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(plain) - len(arguments.defaults)) + list(arguments.defaults)
    for argument, default in zip(plain, defaults, strict=True):
        yield Parameter(argument.arg, *_stub_default(default))
    if arguments.vararg:
        yield Parameter(arguments.vararg.arg, variadic=True)
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield Parameter(argument.arg, *_stub_default(default), keyword_only=True)


def _stub_default(node: ast.expr | None) -> tuple[Any, ...]:
    if node is None:
        return ()
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return (UNKNOWN,)
    return (UNKNOWN if value is ... else value,)

"""The training flag: Keras hands it from call to call, under several names; elsewhere a network is asked for it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Collection
from typing import Any, Final

from netferry.pivot.nodes import Op
from netferry.walking import Transformer, walk

FLAGS: Final = frozenset({"training", "is_training", "train", "is_train"})
"""What the parameter is called."""


def flag_of(network: Any) -> inspect.Parameter | None:
    """The parameter of a network's call that tells whether it is being trained; one of its ``**kwargs`` has no default."""
    parameters = inspect.signature(called(network)).parameters
    named = next((p for n, p in parameters.items() if n in FLAGS), None)
    if named is not None or is_stock(type(network)) or not _takes_any(network):
        return named
    layers = network._flatten_layers() if hasattr(network, "_flatten_layers") else [network]
    asked = next((flag for layer in layers if (flag := asked_for(layer)) is not None), None)
    return None if asked is None else inspect.Parameter(asked, inspect.Parameter.KEYWORD_ONLY)


def asked_for(layer: Any) -> str | None:
    """The flag that a layer of the user's reads from its ``**kwargs`` by name."""
    if is_stock(type(layer)) or not _takes_any(layer):
        return None
    code = getattr(inspect.unwrap(called(layer)), "__code__", None)
    return next((c for c in getattr(code, "co_consts", ()) if isinstance(c, str) and c in FLAGS), None)


def is_stock(kind: type) -> bool:
    """Whether a class is the framework's own."""
    return kind.__module__.partition(".")[0] in ("keras", "tensorflow")


def _takes_any(layer: Any) -> bool:
    parameters = inspect.signature(called(layer)).parameters.values()
    return any(p.kind is p.VAR_KEYWORD for p in parameters)


def called(network: Any) -> Callable[..., Any]:
    """What the user's code runs when a network is called: its ``call``, or a ``__call__`` of its own."""
    owner = next((k for k in type(network).__mro__ if "__call__" in vars(k)), type(network))
    found: Callable[..., Any] = getattr(network, "call" if is_stock(owner) else "__call__", network)
    return found


def given(network: Any, training: bool) -> dict[str, bool]:
    """The flag as a keyword, where the network's call has one."""
    found = flag_of(network)
    return {} if found is None else {found.name: training}


class Asked(Transformer):
    """The flag is asked for, not handed on, within one method.

    ``names`` are the method's own flags, ``rest`` its ``**kwargs`` where these only hold the flag; ``is_layer`` tells
    whether a call reaches a layer or a layer's method, which do not take the flag any more.
    """

    def __init__(self, names: Collection[str], rest: str, is_layer: Callable[[ast.Call], bool]) -> None:
        self.names = names
        self.rest = rest
        self.is_layer = is_layer

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self.names and isinstance(node.ctx, ast.Load):
            return ast.copy_location(Op("is_training", {}), node)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        match node:
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=key)) if name == self.rest:
                if key in FLAGS:
                    return ast.copy_location(Op("is_training", {}), node)
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        match node.func:
            case ast.Attribute(value=ast.Name(id=name), attr="get") if name == self.rest and self.rest:
                return ast.copy_location(Op("is_training", {}), node)
        node.keywords = [k for k in node.keywords if not self._is_rest(k)]
        if self.is_layer(node):
            node.keywords = [k for k in node.keywords if not (k.arg in FLAGS and self._is_flag(k.value))]
            node.args = [*node.args[:1], *(a for a in node.args[1:] if not self._is_own(a))]
        return self.generic_visit(node)

    def _is_rest(self, keyword: ast.keyword) -> bool:
        return keyword.arg is None and isinstance(keyword.value, ast.Name) and keyword.value.id == self.rest != ""

    def _is_flag(self, value: ast.expr) -> bool:
        return self._is_own(value) or (isinstance(value, ast.Constant) and value.value is None)

    def _is_own(self, value: ast.expr) -> bool:
        match value:
            case ast.Name(id=name):
                return name in self.names
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=key)):
                return name == self.rest != "" and key in FLAGS
        return False


def rest_of(method: ast.FunctionDef, seen: Callable[[ast.keyword], list[Any]]) -> str:
    """The name of a method's ``**kwargs`` where they hold nothing but the flag and are only handed on or asked for it."""
    rest = method.args.kwarg
    if rest is None:
        return ""
    reads = [n for s in method.body for n in walk(s) if isinstance(n, ast.Name) and n.id == rest.arg]
    known: set[int] = set()
    for node in (n for s in method.body for n in walk(s)):
        match node:
            case ast.keyword(arg=None, value=ast.Name() as name) if _only_flags(seen(node)):
                known.add(id(name))
            case ast.Subscript(value=ast.Name() as name, slice=ast.Constant(value=key)) if key in FLAGS:
                known.add(id(name))
            case ast.Call(func=ast.Attribute(value=ast.Name() as name, attr="get"), args=[ast.Constant(value=key), *_]):
                known |= {id(name)} if key in FLAGS else set()
    return rest.arg if all(id(n) in known for n in reads) else ""


def _only_flags(values: list[Any]) -> bool:
    given = [{k for k, v in value.items() if not _is_empty(v)} for value in values if isinstance(value, dict)]
    return len(given) == len(values) and all(names <= FLAGS | {"mask"} for names in given)


def _is_empty(value: Any) -> bool:
    """Whether a value is an empty dictionary, or one of these: Keras hands them on under the parameter's own name."""
    return isinstance(value, dict) and all(_is_empty(v) for v in value.values())

"""What the reader must know about a source framework, and what it counts."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from netferry.pivot.facts import Note
from netferry.pivot.nodes import Hole

if TYPE_CHECKING:
    from netferry.reader import Reader

MISSING = object()


class Conventions(Protocol):
    """What the reader must know about a source framework beyond its ops."""

    name: str
    libraries: frozenset[str]

    def path(self, value: Any) -> str | None:
        """The public path of a framework callable or class."""

    def layer_path(self, instance: Any) -> str | None:
        """The class path of a stock layer instance."""

    def is_module(self, value: Any) -> bool:
        """Whether a value is a network or layer instance."""

    def walk(self, network: Any) -> Iterable[Any]:
        """Every module of a network and the arrays it holds."""

    def tracks(self, network: Any) -> bool:
        """Whether only running the target's code tells where its layers are."""

    def call_parameters(self, network: Any) -> list[str]:
        """The names of the parameters of calling a network."""

    def is_container(self, path: str) -> bool:
        """Whether a class path is that of a container, which is called like any network."""

    def is_sequence(self, value: Any) -> bool:
        """Whether a value is a container that calls its layers one after the other."""

    def value(self, value: Any) -> ast.expr | None:
        """The neutral expression of a framework constant (a dtype, a number), or None."""

    def annotation(self, value: Any) -> str | None:
        """The neutral name of a framework type in an annotation: Tensor, Module, Sequential..."""

    def structure(self, reader: Reader, node: ast.Call, path: str) -> ast.expr | object | None:
        """Translate a call that concerns the network's structure; MISSING when it is none."""

    def applied(self, reader: Reader, node: ast.Call, path: str) -> ast.expr | object:
        """Translate the call of a stock layer that needs more than its operands; MISSING to go on."""

    def plain_call(self, reader: Reader, node: ast.Call, callees: Sequence[Any]) -> ast.expr | None:
        """Translate a call of the project's own code, or change its arguments, where some mean nothing elsewhere."""

    def members(self, reader: Reader, node: ast.expr) -> ast.expr | None:
        """The members of a container that is no list or dict elsewhere; None to go on."""

    def member(self, reader: Reader, owner: ast.expr, name: ast.expr) -> ast.expr | None:
        """``getattr(owner, name)`` of a container; None where it is nothing special."""

    def subscript(self, reader: Reader, node: ast.Subscript) -> ast.expr | None:
        """Translate reading an item; None to go on."""

    def declared(self, reader: Reader, node: ast.ClassDef) -> None:
        """Change a class that has been read, where it extends something else elsewhere."""

    def statement(self, reader: Reader, node: ast.stmt) -> list[ast.stmt] | None:
        """Translate a statement that needs more than its expressions; None to go on."""

    def attribute(self, reader: Reader, node: ast.Attribute, owners: Sequence[Any]) -> ast.expr | None:
        """Translate reading an attribute of a module or layer; None to go on."""

    def decided(self, reader: Reader, test: ast.expr) -> bool | None:
        """The answer to a question that has only one outside the source framework, or None."""

    def foreign(self, value: Any) -> bool:
        """Whether a class has no meaning outside the source framework."""

    def erased(self, value: Any) -> bool:
        """Whether a decorator or bare call has no meaning outside the source framework."""


@dataclass
class Counts:
    """What the summary tells."""

    observed: int = 0
    assumed: int = 0
    holes: list[Hole] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    indirect: dict[str, tuple[str | None, ...]] = field(default_factory=dict)
    """What variables that hold classes or functions were seen to call, by the text of the callee."""
    made: dict[str, set[str]] = field(default_factory=dict)
    """Attribute name -> the layer ops assigned to it anywhere."""
    owned: Mapping[int, bool] | None = None
    """Identity of a plain attribute that is state -> whether it is trained."""

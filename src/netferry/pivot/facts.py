"""What the observer learned about a node: values, tensors, and the calls made there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

NoteSeverity = Literal["warning", "info"]


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor value as seen in the run: an identity that follows the value, shape and dtype."""

    identity: int
    shape: tuple[int, ...]
    dtype: str


@dataclass(slots=True)
class Event:
    """One observed call, in order of execution.

    ``callee`` is the framework callable (or layer class) by dotted path; ``operands`` and ``attributes`` are filled by the reader in canonical
    names. Tensors appear as :class:`Tensor` facts, also inside lists and tuples; other values as they are.
    """

    index: int
    node: int | None
    path: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    result: Any = None
    instance: int | None = None
    construction: int | None = None
    origins: Mapping[int | str, int] = field(default_factory=dict)
    """Argument -> the list written elsewhere (as an argument of another call) that arrived here."""


@dataclass(frozen=True, slots=True)
class Note:
    """A change that does not concern what the network computes, with the diagnostic that tells of it."""

    message: str
    site: Site
    code: str = "NF036"
    severity: NoteSeverity = "info"


@dataclass(slots=True)
class Site:
    """A place in the source with all that was observed there."""

    file: str
    line: int
    column: int
    node: int
    events: Sequence[Event] = ()
    assumed: bool = False

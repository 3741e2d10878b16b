"""A graph of layer calls, as a list of steps on numbered tensors; functions and loops are found in it later."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Ref:
    """A tensor, by its number."""

    value: int


@dataclass(frozen=True)
class Code:
    """An expression that is written as it stands."""

    text: str


@dataclass(frozen=True)
class Make:
    """An object made by a constructor: a wrapped layer, an initialiser."""

    head: str
    options: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Parameter:
    """A number in terms of an argument of the function around it."""

    name: str
    times: int = 1
    over: int = 1


@dataclass(frozen=True)
class Width:
    """A number in terms of how many channels a tensor has."""

    tensor: Ref
    times: int = 1
    over: int = 1


@dataclass(frozen=True)
class Kind:
    """What is to be known of a layer or function.

    Attributes:
        role: what it is in a network, in a word: ``conv``, ``norm``, ``activation``, ``add``, ``concat``, ...
        positional: the options that are written without their names, in order.
        defaults: what its options are where nothing is said.
        short: what a variable or function is called after it.
        binary: the operator that it is written as.
    """

    role: str = ""
    positional: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    short: str = ""
    binary: str = ""


@dataclass(frozen=True, eq=False)
class Step:
    """One call: ``head(options)(args)`` of a layer (``layered``), else ``head(args, options)``.

    Attributes:
        owner: what stands for a layer that is called more than once.
        label: the name that the user gave the layer.
        block: the function that it calls, where that was found in the graph.
        count: how often it is applied, each time to what the last round gave.
        rows: the options of each round, by the names in ``columns``.
        carried: which of its tensors a loop hands on from round to round.
    """

    head: str
    options: Mapping[str, Any]
    args: tuple[Any, ...]
    outputs: tuple[int, ...]
    kind: Kind = field(default_factory=Kind)
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    layered: bool = False
    owner: str = ""
    label: str = ""
    block: Block | None = None
    count: Any = None
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    carried: int = 0

    @property
    def is_loop(self) -> bool:
        """Whether it stands for several rounds."""
        return self.count is not None or bool(self.rows)

    @property
    def lines(self) -> int:
        """How many lines it takes."""
        return 2 if self.is_loop else 1

    def tensors(self) -> Iterator[int]:
        """The tensors that it takes."""
        yield from refs([self.args, self.kwargs, list(self.options.values())])

    def option(self, name: str) -> Any:
        """An option, given or not."""
        return self.options[name] if name in self.options else self.kind.defaults.get(name)


@dataclass(eq=False)
class Body:
    """What a function does: steps from its inputs to its outputs."""

    inputs: list[int]
    steps: list[Step]
    outputs: Any
    channels: Mapping[int, int] = field(default_factory=dict)
    """How many channels each tensor has, where that is a number."""

    def last_uses(self) -> dict[int, int]:
        """Tensor -> the place of the last step that takes it (that after all steps: it is an output).

        How wide the inputs are is noted at the start, so that to say it takes none of them.
        """
        found = {
            value: place for place, step in enumerate(self.steps)
            for value in step.tensors() if value not in self.inputs or value in set(refs([step.args, step.kwargs]))
        }  # fmt: skip
        return found | {value: len(self.steps) for value in refs(self.outputs)}

    def uses(self) -> dict[int, int]:
        """Tensor -> how many steps take it, the end counted as one."""
        counts: dict[int, int] = {}
        for value in [*(v for s in self.steps for v in set(s.tensors())), *refs(self.outputs)]:
            counts[value] = counts.get(value, 0) + 1
        return counts


@dataclass(eq=False)
class Argument:
    """An argument of a function that was found: its name, and what it is where nothing is said."""

    name: str
    default: Any = None
    has_default: bool = False


@dataclass(eq=False)
class Block:
    """A function that was found in the graph."""

    name: str
    body: Body
    arguments: list[Argument]


@dataclass(frozen=True)
class Entrance:
    """An input of a network: its tensor, the name the user gave it, and the expression that makes it."""

    value: int
    label: str
    maker: str


@dataclass(eq=False)
class Network:
    """A whole network: a graph with inputs, or (``chain``) layers one after the other."""

    name: str
    entrances: list[Entrance]
    body: Body
    inputs: Any = None
    """The nesting of the inputs."""
    chain: list[Any] = field(default_factory=list)
    nested: list[Network] = field(default_factory=list)
    """The networks in it that are called as layers."""


@dataclass(frozen=True)
class Dialect:
    """How a framework writes what is no layer."""

    imports: tuple[str, ...]
    model: Callable[[str, str], str]
    """The expression that makes a network of the texts of its inputs and outputs."""
    chain: str
    width: Callable[[str], str]
    """The expression of a tensor's number of channels."""
    widths: frozenset[str]
    """The options that say how many channels a layer gives."""


def refs(value: Any) -> Iterator[int]:
    """The tensors in nested arguments, in order."""
    match value:
        case Ref():
            yield value.value
        case Width():
            yield value.tensor.value
        case list() | tuple():
            for item in value:
                yield from refs(item)
        case Mapping():
            for item in value.values():
                yield from refs(item)


def replaced(value: Any, change: Callable[[int], int]) -> Any:
    """Nested arguments with other tensors."""
    match value:
        case Ref():
            return Ref(change(value.value))
        case Width():
            return replace(value, tensor=Ref(change(value.tensor.value)))
        case list() | tuple():
            return type(value)(replaced(item, change) for item in value)
        case Mapping():
            return {key: replaced(item, change) for key, item in value.items()}
    return value


def varies(value: Any) -> bool:
    """Whether an option may be another at each call of a function: numbers are, what says how to compute is not."""
    if isinstance(value, tuple):
        return bool(value) and all(varies(item) for item in value)
    return isinstance(value, Parameter) or (isinstance(value, int | float) and not isinstance(value, bool))


def handed_on(one: Step, two: Step) -> int | None:
    """Which tensor of a step is what the one before gave, where nothing else differs but options; None where more does."""
    if one.head != two.head or one.owner or two.owner or len(one.outputs) != 1 or one.layered != two.layered:
        return None
    shapes = [(replaced(s.args, lambda _: 0), replaced(s.kwargs, lambda _: 0)) for s in (one, two)]
    if shapes[0] != shapes[1]:
        return None
    taken, later = list(refs([one.args, one.kwargs])), list(refs([two.args, two.kwargs]))
    differing = [n for n, (a, b) in enumerate(zip(taken, later, strict=True)) if a != b]
    if len(differing) != 1 or later[differing[0]] != one.outputs[0] or taken.count(taken[differing[0]]) > 1:
        return None
    return differing[0]

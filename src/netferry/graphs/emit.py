"""Writes a graph as source code: a function for every block, one that builds the network, in its framework's idioms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from netferry.graphs.model import (
    Argument,
    Block,
    Body,
    Code,
    Dialect,
    Entrance,
    Make,
    Network,
    Parameter,
    Ref,
    Step,
    Width,
    refs,
    replaced,
)  # fmt: skip
from netferry.graphs.names import Names, identifier
from netferry.graphs.repeats import group

_INDENT: Final = "    "
_LOCALS: Final = ("x", "y", "z", "w", "v", "u")
_SHORTCUT: Final = "shortcut"


def source(network: Network, dialect: Dialect, reserved: Sequence[str] = ()) -> tuple[str, str]:
    """The source code of a network, and the name of the function that builds it."""
    names = Names({*reserved, *_LOCALS})
    wholes = _wholes(network)
    entries = {id(w): names.unique(identifier(w.name) or "network") for w in wholes}
    blocks = group([w.body for w in wholes if not w.chain], dialect, names)
    parts = ["\n".join(dialect.imports)]
    parts += [_function(block, dialect) for block in blocks]
    parts += [_Builder(w, entries, dialect).text() for w in wholes]
    return "\n\n\n".join(parts) + "\n", entries[id(network)]


def _wholes(network: Network) -> list[Network]:
    """A network and all within it, these first."""
    return [*(n for inner in network.nested for n in _wholes(inner)), network]


def _function(block: Block, dialect: Dialect) -> str:
    writer = _Writer(dialect, {a.name for a in block.arguments})
    given = [writer.input(value, number, block.body) for number, value in enumerate(block.body.inputs)]
    arguments = ", ".join([*given, *map(_declared, block.arguments)])
    lines = writer.body(block.body)
    return "\n".join([f"def {block.name}({arguments}):", *(_INDENT + line for line in lines)])


def _declared(argument: Argument) -> str:
    return f"{argument.name}={literal(argument.default)}" if argument.has_default else argument.name


class _Builder:
    """The function that builds a network."""

    def __init__(self, network: Network, entries: Mapping[int, str], dialect: Dialect) -> None:
        self.network = network
        self.dialect = dialect
        self.entries = entries

    def text(self) -> str:
        """The function."""
        name = self.entries[id(self.network)]
        lines = self._chain() if self.network.chain else self._graph()
        return "\n".join([f"def {name}():", *(_INDENT + line for line in lines)])

    def _chain(self) -> list[str]:
        makers = [*(e.maker for e in self.network.entrances), *(self._expression(m) for m in self.network.chain)]
        return [f"return {self.dialect.chain}([", *(f"{_INDENT}{m}," for m in makers), "])"]

    def _expression(self, value: Any) -> str:
        return literal(value, nested=self._nested)

    def _nested(self, head: str) -> str:
        """What a network that is called as a layer is made by."""
        found = next((n for n in self.network.nested if n.name == head.removeprefix("@")), None)
        return f"{self.entries[id(found)]}" if found is not None else head

    def _graph(self) -> list[str]:
        body = self.network.body
        writer = _Writer(self.dialect, set(self.entries.values()), self._nested)
        lines = []
        for entrance in self.network.entrances:
            name = writer.entrance(entrance, self.network)
            lines.append(f"{name} = {entrance.maker}")
        lines += writer.steps(body)
        outputs = writer.argument(body.outputs)
        return [*lines, f"return {self.dialect.model(writer.argument(self.network.inputs), outputs)}"]


class _Writer:
    """Writes the steps of one function; knows what each tensor is called."""

    def __init__(self, dialect: Dialect, taken: set[str], nested: Any = None) -> None:
        self.dialect = dialect
        self.taken = set(taken)
        self.names: dict[int, str] = {}
        self.owners: dict[str, str] = {}
        self.widths: dict[int, str] = {}
        """Inputs -> the variables that hold how wide they are."""
        self.nested = nested or (lambda head: head)
        self.is_unique = nested is not None
        """Whether it writes layers once, so that they can have the names that the user gave them."""

    # -- names ---------------------------------------------------------------------------------------------------

    def input(self, value: int, number: int, body: Body) -> str:
        """The name of an argument that is a tensor."""
        self.names[value] = _LOCALS[number] if number < len(_LOCALS) else f"x{number}"
        return self.names[value]

    def entrance(self, entrance: Entrance, network: Network) -> str:
        """The name of a network's input."""
        single = len(network.entrances) == 1
        name = identifier(entrance.label) or ("inputs" if single else "inputs_1")
        number = 2
        while name in {*self.names.values(), *self.taken, *_LOCALS}:
            name, number = f"{name.rstrip('0123456789').rstrip('_')}_{number}", number + 1
        self.names[entrance.value] = name
        return name

    def _result(self, step: Step, body: Body, place: int, last: Mapping[int, int]) -> list[str]:
        """What the results of a step are called: as what they replace, where that is not needed any more."""
        alive = {self.names[v] for v, until in last.items() if until > place and v in self.names}
        dying = {self.names[v] for v in _replaced(step) if last.get(v, -1) <= place}
        ending = [n for n in dying if n in _LOCALS or n == _SHORTCUT]
        found: list[str] = []
        for value in step.outputs:
            if value not in last:
                found.append("_")
                continue
            used = {*alive, *found, *self.taken, *self.owners.values()}
            name = next(n for n in (*sorted(ending, key=_age), *_candidates(step, body, place, value)) if n not in used)
            self.names[value] = name
            found.append(name)
        return found

    # -- statements ----------------------------------------------------------------------------------------------

    def body(self, body: Body) -> list[str]:
        """The statements of a function, its return included."""
        lines = [*self._widths(body), *self.steps(body)]
        result = self.argument(body.outputs)
        head, _, value = lines[-1].partition(" = ")
        if head == result and not lines[-1].startswith(_INDENT) and "\n" not in lines[-1]:
            return [*lines[:-1], f"return {value}"]
        return [*lines, f"return {result}"]

    def _widths(self, body: Body) -> list[str]:
        """The statements that note how wide the inputs are, where that is said later."""
        said = {v for s in body.steps for v in refs(list(s.options.values()))}
        wanted = [v for v in body.inputs if v in said]
        lines = []
        for value in wanted:
            name = "in_channels" if len(wanted) == 1 else f"{self.names[value]}_channels"
            lines.append(f"{name} = {self.dialect.width(self.names[value])}")
            self.widths[value] = name
        return lines

    def steps(self, body: Body) -> list[str]:
        """The statements of a body."""
        last = body.last_uses()
        lines: list[str] = []
        for place, step in enumerate(body.steps):
            lines += self._owner(step)
            lines += self._step(step, body, place, last)
        return lines

    def _owner(self, step: Step) -> list[str]:
        """The statement that makes a layer which is called several times."""
        if not step.owner or step.owner in self.owners:
            return []
        base = identifier(step.label) or step.kind.short or "layer"
        name = base if base not in _LOCALS else f"{base}_layer"
        number = 2
        while name in {*self.owners.values(), *self.names.values(), *self.taken}:
            name, number = f"{base}_{number}", number + 1
        self.owners[step.owner] = name
        return [f"{name} = {self._maker(step)}"]

    def _step(self, step: Step, body: Body, place: int, last: Mapping[int, int]) -> list[str]:
        if step.is_loop:
            return self._loop(step, body, place, last)
        value = self.call(step)
        return [f"{', '.join(self._result(step, body, place, last))} = {value}"]

    def _loop(self, step: Step, body: Body, place: int, last: Mapping[int, int]) -> list[str]:
        carried = list(refs([step.args, step.kwargs]))[step.carried]
        before = self.names[carried]
        name = self._result(step, body, place, last)[0]
        self.names[step.outputs[0]] = name
        start = [] if name == before else [f"{name} = {before}"]
        inner = replace(
            step, args=replaced(step.args, lambda v: step.outputs[0] if v == carried else v), count=None, rows=()
        )
        if step.rows:
            target, rows = ", ".join(step.columns), step.rows
            inner = replace(inner, options={**inner.options, **{c: Parameter(c) for c in step.columns}})
            values = literal(tuple(r[0] for r in rows) if len(step.columns) == 1 else rows)
            return [*start, f"for {target} in {values}:", f"{_INDENT}{name} = {self.call(inner)}"]
        line = f"{name} = {self.call(inner)}"
        if isinstance(step.count, int) and step.count == 2 and step.block is None:
            self.names[carried] = before
            return [f"{name} = {self.call(replace(step, count=None))}", line]
        return [*start, f"for _ in range({literal(step.count)}):", f"{_INDENT}{line}"]

    # -- expressions ---------------------------------------------------------------------------------------------

    def call(self, step: Step) -> str:
        """The expression of one call."""
        given = [self.argument(a) for a in step.args]
        given += [f"{k}={self.argument(v)}" for k, v in step.kwargs.items()]
        if step.kind.binary:
            return self._operator(step, given)
        if step.layered:
            maker = self.owners[step.owner] if step.owner else self._maker(step)
            return f"{maker}({', '.join(given)})"
        return f"{step.head}({', '.join([*given, *self._options(step)])})"

    def _operator(self, step: Step, given: list[str]) -> str:
        if step.kind.binary == "[]":
            return f"{given[0]}[{given[1].removeprefix('(').removesuffix(')')}]"
        return f"{step.kind.binary}{given[0]}" if len(given) == 1 else f"{given[0]} {step.kind.binary} {given[1]}"

    def _maker(self, step: Step) -> str:
        options = self._options(step)
        if step.label and self.is_unique and not step.head.startswith("@"):
            options.append(f"name={literal(step.label)}")
        return f"{self.nested(step.head)}({', '.join(options)})"

    def _options(self, step: Step) -> list[str]:
        options = {n: v for n, v in step.options.items() if n not in step.kind.defaults or v != step.kind.defaults[n]}
        found = []
        for name in step.kind.positional:
            if name not in options:
                break
            found.append(self.argument(options.pop(name)))
        ordered = (
            sorted(options, key=list(step.kind.defaults).index)
            if options.keys() <= step.kind.defaults.keys()
            else options
        )
        return found + [f"{name}={self.argument(options[name])}" for name in ordered]

    def argument(self, value: Any) -> str:
        """The text of an argument with tensors in it."""
        return literal(value, self.names, self._width, self.nested)

    def _width(self, value: int) -> str:
        return self.widths.get(value) or self.dialect.width(self.names[value])


def _age(name: str) -> int:
    return _LOCALS.index(name) if name in _LOCALS else len(_LOCALS)


def _candidates(step: Step, body: Body, place: int, value: int) -> list[str]:
    """Names for a new tensor, the best first."""
    label = identifier(step.label)
    uses = [s for s in body.steps[place + 1 :] if value in set(s.tensors())]
    found = [label] if label and place + 1 < len(body.steps) and value in set(refs(body.outputs)) else []
    if uses and uses[0].kind.role == "add" and len(uses) == 1 and step.kind.role in ("conv", "norm"):
        own = list(step.tensors())
        if own and own[0] in body.inputs:
            found.append(_SHORTCUT)
    return [*found, *_LOCALS, *(f"x{n}" for n in range(2, 1000))]


def _replaced(step: Step) -> set[int]:
    """The tensors whose names the results of a step may take: each round of a loop needs all but what it hands on."""
    if not step.is_loop:
        return set(step.tensors())
    return {list(refs([step.args, step.kwargs]))[step.carried]}


def literal(value: Any, names: Mapping[int, str] | None = None, width: Any = None, nested: Any = None) -> str:
    """A value as Python writes it."""

    def of(item: Any) -> str:
        return literal(item, names, width, nested)

    match value:
        case Ref():
            return (names or {})[value.value]
        case Code():
            return value.text
        case Parameter():
            return _scaled(value.name, value.times, value.over)
        case Width():
            return _scaled(width(value.tensor.value), value.times, value.over)
        case Make():
            head = nested(value.head) if nested else value.head
            return f"{head}({', '.join(f'{n}={of(v)}' if n else of(v) for n, v in value.options)})"
        case slice():
            return _slice(value)
        case tuple():
            return f"({', '.join(map(of, value))}{',' if len(value) == 1 else ''})"
        case list():
            return f"[{', '.join(map(of, value))}]"
        case dict():
            return "{" + ", ".join(f"{of(k)}: {of(v)}" for k, v in value.items()) + "}"
        case str():
            return '"' + repr(value)[1:-1].replace('"', '\\"').replace("\\'", "'") + '"'
    return "..." if value is Ellipsis else repr(value)


def _slice(value: slice) -> str:
    parts = ["" if p is None else repr(p) for p in (value.start, value.stop)]
    return ":".join(parts) + (f":{value.step!r}" if value.step is not None else "")


def _scaled(name: str, times: int, over: int) -> str:
    return f"{times} * {name}" if times > 1 else f"{name} // {over}" if over > 1 else name

"""Linen networks: applied to variables that they are given, with modules that are made anew in every call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import flax.linen as nn
import jax
from flax.linen.module import wrap_method_once

from netferry.frameworks.flax.flags import FLAGS, TRAINING
from netferry.frameworks.flax.randomness import replaced
from netferry.frameworks.flax.vocabulary import CONTAINERS, class_path
from netferry.weights.build import Member, Module

if TYPE_CHECKING:
    from netferry.observe.recorder import Recorder

_KEPT = "_netferry_applied"
TRAINED = "params"
"""The collection of variables that training changes."""


@dataclass
class Applied:
    """What applying a network told: its variables, and its modules in the order in which they were called."""

    variables: Mapping[str, Any]
    modules: dict[tuple[str, ...], Any] = field(default_factory=dict)
    origins: dict[int, Any] = field(default_factory=dict)
    """Module -> the one that it is a copy of."""


def keys(seed: int = 0) -> dict[str, Any]:
    """Random keys under the names that code asks for them by; others fall back on the first."""
    return {name: jax.random.key(4 * seed + i) for i, name in enumerate(("params", "dropout", "default", "noise"))}


def in_mode(network: Any, *, training: bool) -> Any:
    """A network whose mode is one of its fields, in the other mode."""
    fields = {n for n in network.__dataclass_fields__ if n in FLAGS and isinstance(getattr(network, n, None), bool)}
    changes = {n: training == (n in TRAINING) for n in fields}
    return network.clone(**changes) if any(getattr(network, n) != v for n, v in changes.items()) else network


def layer_path(instance: Any) -> str | None:
    """The class path of a stock layer (or of the stock class whose call a subclass inherits)."""
    kind = next((k for k in type(instance).__mro__ if "__call__" in k.__dict__), None)
    if kind is None or class_path(kind) is None or kind is nn.Module:
        return None
    return next(path for k in type(instance).__mro__ if (path := class_path(k)) is not None)


def observed(
    recorder: Recorder, network: Any, args: Sequence[Any], kwargs: Mapping[str, Any], *, training: bool
) -> Any:
    """Apply a network to variables that it is first asked for, silently."""
    moded = in_mode(network, training=training)
    applied = vars(network).get(_KEPT)
    if applied is not None:
        return _again(recorder, applied, moded, args, kwargs)
    was, recorder.active = recorder.active, False
    try:
        applied = Applied(moded.init(keys(), *args, **kwargs))
    finally:
        recorder.active = was
    object.__setattr__(network, _KEPT, applied)
    output = _applied(recorder, applied, moded, args, kwargs)
    _made_by_constructors(recorder.recording, applied)
    return output


def _applied(recorder: Recorder, applied: Applied, network: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    others = [name for name in applied.variables if name != TRAINED]
    with _copies(applied), nn.intercept_methods(_watcher(recorder, applied)):
        return network.apply(applied.variables, *args, rngs=keys(), mutable=others, **kwargs)[0]


_TABLES = ("values", "callees", "within", "constructed", "instantiated", "chains")


def _fresh() -> dict[str, Any]:
    return {name: {} for name in _TABLES}


def _again(recorder: Recorder, applied: Applied, network: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Another call makes the same modules once more: only what it reaches first is worth a note."""
    first = recorder.recording
    second = replace(first, **_fresh())
    recorder.recording = second
    try:
        return _applied(recorder, applied, network, args, kwargs)
    finally:
        _made_by_constructors(second, applied)
        known = set(first.constructed.values())
        fresh = {i for i, site in second.constructed.items() if site not in known}
        for name in _TABLES[:3]:
            vars(first)[name].update({k: v for k, v in vars(second)[name].items() if k not in vars(first)[name]})
        for name in _TABLES[3:]:
            vars(first)[name].update({i: v for i, v in vars(second)[name].items() if i in fresh})
        first.outputs, first.failure = second.outputs, second.failure
        recorder.recording = first


def _made_by_constructors(recording: Any, applied: Applied) -> None:
    """Layers that a module makes when it is called are made by its constructor elsewhere, which got its fields."""
    known = {id(module): module for module in applied.modules.values()}
    for link in (link for chain in recording.chains.values() for link in chain):
        if link.instance in known:
            fields = _fields(known[link.instance])
            recording.fields.setdefault(link.serial, fields)
            recording.given.setdefault(link.serial, {n: v for n, v in fields.items() if type(v) is int})
    for identity, chain in recording.chains.items():
        recording.chains[identity] = tuple(_constructing(recording, link) for link in chain)
    for number, chains in recording.within.items():
        recording.within[number] = [tuple(_constructing(recording, link) for link in chain) for chain in chains]


def _fields(module: Any) -> dict[str, Any]:
    """The fields of a module that are plain data."""
    found = {n: getattr(module, n, None) for n in module.__dataclass_fields__}
    return {n: v for n, v in found.items() if _is_plain(v)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _constructing(recording: Any, link: Any) -> Any:
    made_at = recording.instantiated.get(link.instance)
    return link if made_at is None else replace(link, node=made_at, instance=0)


@contextmanager
def _copies(applied: Applied) -> Iterator[None]:
    """Note which module is a copy of which."""
    original = nn.Module.clone

    def clone(module: Any, *args: Any, **options: Any) -> Any:
        made = original(module, *args, **options)
        applied.origins[id(made)] = module
        return made

    with replaced(nn.Module, "clone", clone), replaced(nn.Sequential, "__call__", wrap_method_once(_in_turn)):
        yield


def _in_turn(container: Any, *args: Any, **kwargs: Any) -> Any:
    """What a sequence computes; functions in it report themselves."""
    output: Any = args
    for member in container.layers:
        given = output if isinstance(output, tuple) else (output,)
        output = member(*given, **kwargs)
        kwargs = {}
        if container.scope is not None and not isinstance(member, nn.Module) and (report := _reports[-1:]):
            report[0](member, given, output)
    return output


_reports: list[Callable[[Any, Any, Any], None]] = []


def _watcher(recorder: Recorder, applied: Applied) -> Callable[..., Any]:
    """Notes modules and reports layers that containers call, and none that stock layers call themselves."""
    inside: list[bool] = []

    def function(member: Any, given: Any, output: Any) -> None:
        path = recorder.probe.path(member)
        if path is not None and recorder.active:
            recorder.event(None, path, given, {}, output)

    def watch(following: Any, args: Any, kwargs: Any, context: Any) -> Any:
        module = context.module
        _note(recorder, applied, module)
        path = layer_path(module) if context.method_name == "__call__" else None
        stock = path is not None and path not in CONTAINERS
        hidden = any(inside)
        inside.append(stock)
        was, recorder.active = recorder.active, recorder.active and not stock and not hidden
        _reports.append(function)
        try:
            output = following(*args, **kwargs)
        finally:
            inside.pop()
            _reports.pop()
            recorder.active = was
        if stock and not hidden and recorder.active and not recorder.awaiting(module):
            recorder.event(None, str(path), args, kwargs, output, instance=module)
        return output

    return watch


def _note(recorder: Recorder, applied: Applied, module: Any) -> None:
    """Remember a module by its path, and where it, or what it is a copy of, was made."""
    path = tuple(module.path)
    if path in applied.modules or not recorder.active:
        return
    applied.modules[path] = module
    recording = recorder.recording
    made = module
    while made is not None and id(made) not in {**recording.constructed, **recording.instantiated}:
        made = applied.origins.get(id(made))
    tables: tuple[dict[int, Any], ...] = (recording.constructed, recording.instantiated, recording.chains)
    for table in tables:
        if made is not None and id(made) in table:
            table.setdefault(id(module), table[id(made)])


def walk(network: Any) -> Iterator[Module]:
    """Every module that was called, parents first, down to stock ones."""
    applied: Applied | None = vars(network).get(_KEPT)
    if applied is None:
        return
    hidden: tuple[tuple[str, ...], ...] = ()
    for path, module in sorted(applied.modules.items(), key=lambda item: len(item[0])):
        if any(path[: len(h)] == h for h in hidden):
            continue
        stock = layer_path(module)
        stock = None if stock in CONTAINERS else stock
        if stock is not None:
            hidden = (*hidden, path)
        yield Module(
            ".".join(path),
            (),
            module,
            stock,
            list(_members(applied, path, module, whole=stock is not None)),
            owners(module),
        )


def owners(module: Any) -> tuple[str, ...]:
    """The classes of an instance, most derived first, by full name."""
    return tuple(f"{kind.__module__}.{kind.__qualname__}" for kind in type(module).__mro__)


def _members(applied: Applied, path: tuple[str, ...], module: Any, *, whole: bool) -> Iterator[Member]:
    for collection, tree in applied.variables.items():
        found: Any = tree
        for part in path:
            found = found.get(part, {}) if isinstance(found, Mapping) else {}
        for name, array in flat(found):
            if whole or (len(name) == 1):
                trained = collection == TRAINED
                attribute = next((k for k, v in vars(module).items() if v is array), "")
                yield Member(".".join(name), tuple(array.shape), trained, not trained, id(array), attribute=attribute)


def flat(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The arrays of nested dictionaries by path."""
    if isinstance(tree, Mapping):
        for name, value in tree.items():
            yield from flat(value, (*path, str(name)))
    elif hasattr(tree, "shape"):
        yield path, tree
    elif hasattr(tree, "unbox"):  # Boxes that say how an array is split over devices.
        yield path, tree.unbox()

"""Derives the weight map: which target array comes from which source arrays, and how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Protocol

from netferry.observe.run import Observation
from netferry.ops import registry
from netferry.ops.core import OpDef, Spelling
from netferry.owned import owned
from netferry.passes.layout.bound import layer_attributes, tensors
from netferry.passes.layout.orders import is_identity
from netferry.passes.layout.solve import Fold, Layout
from netferry.weights import rearrange
from netferry.weights.map import Entry, WeightMap
from netferry.weights.rearrange import Recipe
from netferry.writer import LayerPlace, Written

Path = tuple[tuple[tuple[str, ...], str], ...]
"""Attribute names (or positions) from the network down, each with the classes of what holds it, by full name."""


@dataclass(frozen=True)
class Member:
    """One array that a module of the source owns itself."""

    name: str
    shape: tuple[int, ...]
    trainable: bool
    buffer: bool
    identity: int
    plain: bool = False
    """A tensor that is just an attribute, neither parameter nor buffer."""
    attribute: str = ""
    """The attribute that holds it, where that is called otherwise."""


@dataclass(frozen=True)
class Module:
    """A module of the source network: its path there, its path in the target, and its arrays."""

    source: str
    path: Path
    instance: Any
    stock: str | None
    members: Sequence[Member]
    owners: tuple[str, ...] = ()
    """Its classes, most derived first, by full name."""


class Walker(Protocol):
    """What building the map asks of a source framework."""

    def walk(self, network: Any) -> Iterator[Module]:
        """Every module of the network once, parents first."""


def build_map(
    observation: Observation, written: Written, layout: Layout, walker: Walker, source: str, target: str,
    placed: Mapping[int, Sequence[str]] | None = None, *, lazy: bool = False,
) -> WeightMap:  # fmt: skip
    """The map of one migration, from facts alone: neither network needs to exist in memory.

    ``placed`` gives the paths of what each site made in the target, where they do not follow from the source's.
    With ``lazy``, layers of the target have no arrays before they are called, so those of layers that no call
    reaches have nowhere to go.
    """
    builder = _Builder(observation, written, layout, source, target)
    entries: list[Entry] = []
    modules = list(walker.walk(observation.recording.network))
    builder.owned = owned(observation.recording, modules)
    builder.found = _moved(
        [m for m in modules if id(m.instance) not in written.tied], observation.recording, placed or {}
    )
    for module in modules:
        if lazy and module.stock is not None and not builder.is_used(module):
            builder.dropped |= {_joined(module.source, m.name): "no call reaches its layer" for m in module.members}
        elif module.stock is not None:
            entries.extend(builder.stock(module))
        else:
            entries.extend(builder.own(module))
    made = WeightMap(tuple(entries), source, target, builder.dropped)
    shapes = {_joined(module.source, m.name): tuple(m.shape) for module in modules for m in module.members}
    return replace(made, shapes={name: shapes[name] for name in sorted(made.sources) if name in shapes})


class _Builder:
    def __init__(self, observation: Observation, written: Written, layout: Layout, source: str, target: str) -> None:
        self.recording = observation.recording
        self.written = written
        self.layout = layout
        self.source = source
        self.target = target
        self.attributes = layer_attributes(self.recording)
        self.dropped: dict[str, str] = {}
        self.owned: Mapping[int, bool] = {}
        """The plain attributes that are state."""
        self.found: Mapping[int, str] = {}
        """Instance -> its path in the target, as far as running the target's code has told."""

    @cached_property
    def _used(self) -> set[int]:
        """The layers that were called, and the tensors that went into anything once the network was built."""
        inputs = {t.identity for t in self.recording.inputs}
        given = [(e, {t.identity for t in tensors([*e.args, *e.kwargs.values()])}) for e in self.recording.events]
        started = next((i for i, (_, identities) in enumerate(given) if identities & inputs), 0)
        return {i for _, identities in given[started:] for i in identities} | {e.instance or 0 for e, _ in given}

    def is_used(self, module: Module) -> bool:
        """Whether the run called a layer, or read one of its arrays."""
        return id(module.instance) in self._used or any(m.identity in self._used for m in module.members)

    def base(self, module: Module) -> str:
        """Where a module of the source is in the target."""
        known = self.found.get(id(module.instance))
        return self.path(module.path) if known is None else known

    def path(self, path: Path) -> str:
        """The target's path: attributes that the target reserves are renamed."""
        return ".".join(self._attribute(owners, part) for owners, part in path)

    def _attribute(self, owners: tuple[str, ...], name: str) -> str:
        renamed = self.written.renamed
        return next((renamed[key] for o in self._classes(owners) if (key := f"{o}.{name}") in renamed), name)

    def _classes(self, owners: tuple[str, ...]) -> list[str]:
        """What classes of the source are called in the output."""
        return [self.written.names.get(owner, owner.rpartition(".")[2]) for owner in owners]

    def own(self, module: Module) -> Iterator[Entry]:
        """Arrays that the user's own class holds: in the order their readers want."""
        for member in module.members:
            if member.plain and member.identity not in self.owned:
                continue
            order = self.layout.orders.get(member.identity)
            name = _joined(module.source, member.name)
            if any(f"{owner}.{member.name}" in self.written.dissolved for owner in self._classes(module.owners)):
                self.dropped[name] = "made anew in every call"
                continue
            own = self.path(((module.owners, member.attribute or member.name),))
            base = self.base(module)
            target = f"{base}.{own}" if base else own
            steps: tuple[dict[str, Any], ...] = ()
            if order is not None and not is_identity(order) and len(order) == len(member.shape):
                steps = ({"op": "transpose", "axes": list(order)},)
            yield Entry(target, Recipe(((name, steps),)), member.trainable, "buffer" if member.buffer else "parameter")

    def stock(self, module: Module) -> Iterator[Entry]:
        """Arrays of a stock layer, through its op's canonical parameters."""
        found = self.attributes.get(id(module.instance))
        op, spelling, attributes = found or _declared(str(module.stock))
        if op is None or spelling is None:
            return
        shapes = {m.name: m.shape for m in module.members}
        trainable = {m.name: m.trainable for m in module.members}
        canonical = self._canonical(module, op, spelling, attributes, shapes)
        made_at = self.recording.constructed.get(id(module.instance), -1)
        place = self._extended(module) or self.written.layers.get(made_at) or self.written.places.get(op.name)
        place = place or LayerPlace(op.name)
        if place.op not in (op.name, "sequential"):
            written = registry.get(place.op)
        else:
            written = op
        try:
            entries = list(self._targets(module, op, written, place, attributes, canonical, trainable))
        except ValueError as error:  # Another layer than the one that the source's arrays are of.
            self.dropped |= {_joined(module.source, m.name): str(error) for m in module.members}
            return
        yield from entries

    def _extended(self, module: Module) -> LayerPlace | None:
        """Where a class of the user's that extends a stock layer holds it."""
        names = (self.written.names.get(owner, "") for owner in module.owners)
        return next((self.written.bases[n] for n in names if n in self.written.bases), None)

    def _canonical(
        self,
        module: Module,
        op: OpDef,
        spelling: Spelling,
        attributes: Mapping[str, Any],
        shapes: Mapping[str, tuple[int, ...]],
    ) -> dict[str, tuple[Recipe, tuple[int, ...]]]:
        """Canonical parameter -> its recipe from source arrays, and its shape."""
        made: dict[str, tuple[Recipe, tuple[int, ...]]] = {}
        layouts = op.layouts(attributes)
        prefix = f"{module.source}." if module.source else ""
        for name, text in op.specs(spelling, attributes).items():
            if name not in shapes:
                continue
            spec = rearrange.Spec.parse(text)
            if len(shapes[name]) != len(spec.layout.axes):  # Many layers' arrays in one.
                self.dropped[prefix + name] = "it has other axes than its layer's"
                continue
            for parameter, recipe in rearrange.from_framework(name, spec, layouts, shapes[name]).items():
                recipe = recipe.after({name: Recipe(((prefix + name, ()),))}) if recipe.inputs[0][0] else recipe
                shape = _shape_after(recipe, shapes[name])
                made[parameter] = (recipe, shape)
        return made

    def _targets(
        self, module: Module, op: OpDef, written: OpDef, place: LayerPlace, attributes: Mapping[str, Any],
        canonical: Mapping[str, tuple[Recipe, tuple[int, ...]]], trainable: Mapping[str, bool],
    ) -> Iterator[Entry]:  # fmt: skip
        spelling = next(
            (
                s
                for s in written.spellings.get(self.target, ())
                if s.layer and s.write and (s.params or s.dynamic_params)
            ),
            None,
        )
        chosen = place.spelling
        if chosen is not None and (chosen.params or chosen.dynamic_params):
            spelling = chosen
        if spelling is None:
            return
        own = [
            s
            for s in op.spellings.get(self.target, ())
            if s.layer and s.params and s.path == spelling.path and s.params.keys() == spelling.params.keys()
        ]
        if written is not op and own and own[0].params != spelling.params:  # The same class, said of another op.
            written, spelling = op, own[0]
        layouts = op.layouts(attributes) if written is op else written.layouts(_known(written, attributes))
        specs = written.specs(spelling, attributes if written is op else _known(written, attributes))
        fold = self.layout.weight_folds.get(id(module.instance))
        inside = place.path if id(module.instance) in self.found else (*place.within, *place.path)
        base = ".".join(filter(None, [self.base(module), *map(str, inside)]))
        for name, text in specs.items():
            spec = rearrange.Spec.parse(text)
            if any(n not in canonical for n in spec.names):
                continue
            if spec.names == ("weight",) and id(module.instance) in self.written.tied:
                continue  # It is the array of another layer, which the map has already.
            shapes = {n: canonical[n][1] for n in spec.names}
            recipe = rearrange.to_framework(spec, layouts, shapes, known=_group_sizes(written, op, attributes))
            sources = {
                n: _folded(canonical[n][0], canonical[n][1], fold if n == "weight" else None) for n in spec.names
            }
            recipe = recipe.after(sources)
            first = recipe.inputs[0][0].rpartition(".")[2]
            kind: Literal["parameter", "buffer"] = "buffer" if any(n in op.buffers for n in spec.names) else "parameter"
            yield Entry(f"{base}.{name}" if base else name, recipe, trainable.get(first, True), kind)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _moved(modules: Sequence[Module], recording: Any, placed: Mapping[int, Sequence[str]]) -> dict[int, str]:
    """The n-th instance that a site made in the source is the n-th that it makes in the target."""
    there = {id(module.instance) for module in modules}
    made: dict[int, list[int]] = {}
    for identity, site in [*recording.constructed.items(), *recording.instantiated.items()]:
        if identity in there:
            made.setdefault(site, []).append(identity)
    return {
        identity: path for site, paths in placed.items() for identity, path in zip(made.get(site, ()), paths, strict=False)
    }  # fmt: skip


def _group_sizes(written: OpDef, op: OpDef, attributes: Mapping[str, Any]) -> dict[str, int]:
    """The sizes that a layout like ``(I M)`` needs, where the op written is another than the one read."""
    if written.sizes:
        found = {f: attributes.get(name, written.parsed[name].default) for f, name in written.sizes.items()}
        return {f: size for f, size in found.items() if isinstance(size, int)}
    groups, outputs = attributes.get("groups"), attributes.get("out_channels")
    if written is op or "groups" in written.parsed or not isinstance(groups, int) or not isinstance(outputs, int):
        return {}
    return {"I": groups, "M": outputs // groups}


def _known(op: OpDef, attributes: Mapping[str, Any]) -> dict[str, Any]:
    names = {p.name for p in op.attributes}
    return {k: v for k, v in attributes.items() if k in names}


def _declared(path: str) -> tuple[OpDef | None, Spelling | None, dict[str, Any]]:
    for op, spelling in registry.find(path):
        if spelling.layer:
            return op, spelling, op.values({})
    return None, None, {}


def _shape_after(recipe: Recipe, shape: tuple[int, ...]) -> tuple[int, ...]:
    return rearrange.shape_after(recipe.inputs[0][1], shape)


def _folded(recipe: Recipe, shape: tuple[int, ...], fold: Fold | None) -> Recipe:
    """A linear layer's weight whose inputs arrive flattened in the target's order."""
    if fold is None or len(shape) != 2:
        return recipe
    ((name, steps),) = recipe.inputs
    axes = [0, *(1 + a for a in fold.order)]
    more = (
        {"op": "reshape", "shape": [shape[0], *fold.sizes]},
        {"op": "transpose", "axes": axes},
        {"op": "reshape", "shape": list(shape)},
    )
    return Recipe(((name, (*steps, *more)),), recipe.combine, recipe.steps)

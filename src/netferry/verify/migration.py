"""Proving a migration: the source as it is, against the code that was written from it."""

from __future__ import annotations

import types
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from netferry.frameworks import catalog
from netferry.frameworks.base import Arguments
from netferry.inputs import materialise
from netferry.trees import leaves
from netferry.verify.compare import Layouts
from netferry.verify.equivalence import verify
from netferry.verify.measure import Network
from netferry.verify.report import Verification
from netferry.verify.widen import wholly_widened, widened

if TYPE_CHECKING:
    from netferry.migration import Migration, Reading

_SEED = 7
_CARRIED = (np.ndarray, np.generic, bool, int, float, complex, str)
"""What both networks can be called with."""


def verify_migration(migration: Migration) -> Verification:
    """Build both networks and compare everything they compute."""
    reading = migration.reading
    source = Network(catalog.get(reading.framework).runtime(reading=True), source_factory(reading))
    if hasattr(source.runtime, "modules"):
        source.runtime.modules = list(reading.observation.modules.values())
    target = Network(
        catalog.get(migration.to).runtime(), migration.build,
        wide=lambda: migration.build(widened), widest=lambda: migration.build(wholly_widened),
    )  # fmt: skip
    layouts = Layouts(migration.input_orders, migration.output_orders)
    given = arguments(reading)
    others = (leaf for _, leaf in leaves(given) if not isinstance(leaf, _CARRIED) and not hasattr(leaf, "dtype"))
    foreign = next(others, None)
    if foreign is not None:
        kind = type(foreign).__name__
        return Verification(reason=f"an input is an object of the class {kind}, which cannot be carried to the target")
    second = second_arguments(reading)
    if second is not None and _is_single(reading):
        given, second = second, given
    found = verify(source, target, migration.weight_map, given, second, layouts)
    known = {"source_h5": found.source_places, "source_graph": found.source_graph}
    known = {name: places for name, places in known.items() if places}
    migration.weight_map = replace(migration.weight_map, target_h5=found.target_file, **known)  # type: ignore[arg-type]
    return found


def _is_single(reading: Reading) -> bool:
    """Whether the batch is one sample, of which training has no statistics, where the network takes any number."""
    network = reading.observation.recording.network
    taken = getattr(network, "inputs", None)
    is_open = isinstance(taken, list) and all(tuple(getattr(t, "shape", (0,)))[:1] == (None,) for t in taken)
    return is_open and all(s.shape[:1] == (1,) for s in reading.specs)


def source_factory(reading: Reading) -> Any:
    """A function that builds the source network anew."""
    if reading.original is not None:
        return reading.original.factory()
    module: types.ModuleType = reading.observation.modules[reading.project.main.module]
    code = compile(reading.call, "<call>", "eval")
    plain = reading.observation.recording.plain
    if reading.call.isidentifier() and plain is not None:  # A network that loading the file makes, each time anew.
        return lambda: _reloaded(module, plain)[reading.call]
    return lambda: eval(code, module.__dict__)  # noqa: S307 - the user's own construction call


def _reloaded(module: types.ModuleType, plain: types.CodeType) -> dict[str, Any]:
    """What a file's definitions make when they are run again."""
    names = {"__name__": module.__name__, "__file__": module.__file__, "__package__": module.__package__}
    exec(plain, names)  # noqa: S102 - the user's own code
    return names


def arguments(reading: Reading, seed: int = _SEED) -> Arguments:
    """Random arguments of the network, in the source's layout."""
    evaluate = catalog.get(reading.framework).reading().evaluate
    random = np.random.default_rng(seed)
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for spec in reading.specs:
        value = materialise(spec, random, evaluate)
        if spec.name:
            kwargs[spec.name] = value
        else:
            args.append(value)
    return tuple(args), kwargs


def second_arguments(reading: Reading) -> Arguments | None:
    """Arguments with another batch size, where every random input shares its first axis with the others."""
    random_specs = [s for s in reading.specs if s.kind == "random"]
    sizes = {s.shape[0] for s in random_specs if s.shape}
    if len(sizes) != 1 or len(random_specs) != len(reading.specs):
        return None
    size = sizes.pop() + 1
    changed = [replace(s, shape=(size, *s.shape[1:])) for s in reading.specs]
    return arguments(replace(reading, specs=changed), _SEED + 1)

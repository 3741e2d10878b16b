"""Networks carried to another framework and back: the weights return bit for bit, and a second trip changes no code."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netferry
from examples.regenerate import PAIRS, Example
from netferry.frameworks import catalog
from netferry.verify.migration import arguments, source_factory

TOLERANCE = 1e-12


@dataclass
class Trip:
    """A migration, and the networks on both of its sides."""

    migration: netferry.Migration
    source: Any
    target: Any


def built(migration: netferry.Migration, source: Any = None) -> Trip:
    """Both networks with the same weights, those of ``source`` if it is given."""
    reading = migration.reading
    here, there = catalog.get(reading.framework).runtime(reading=True), catalog.get(migration.to).runtime()
    given = arguments(reading)
    made = source if source is not None else here.build(source_factory(reading), "float32")
    here.run(made, given, training=False)
    target = there.build(migration.build, "float32")
    converted = migration.convert_inputs(*given[0])
    there.run(target, (converted, given[1]), training=False)
    report = migration.transfer(made, target)
    assert report.problems == []
    return Trip(migration, made, target)


def specification(migration: netferry.Migration) -> str:
    """What the migrated network is called with."""
    (spec,) = migration.reading.specs
    (order,) = migration.input_orders
    axes = order or range(len(spec.shape))
    shape = "x".join(str(spec.shape[axis]) for axis in axes)
    return f"{shape}:{spec.dtype}" + ("" if spec.high is None else f":{spec.high}")


def onward(trip: Trip, example: Example, to: str, file: Path) -> Trip:
    """The migrated network carried on, from its own file and with its own weights."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(trip.migration.code, encoding="utf-8")
    call = trip.migration.written.call
    made = netferry.migrate(
        file, to=to, call=call, entry=call.partition("(")[0], inputs=[specification(trip.migration)], verify=False
    )
    assert made.diagnostics == []
    return built(made, trip.target)


def numbers(framework: str, network: Any) -> Counter[tuple[Any, ...]]:
    """The arrays of a network by shape and bytes; of biases that are only ever added, the sum."""
    runtime = catalog.get(framework).runtime(reading=True)
    found: dict[str, np.ndarray[Any, Any]] = {}
    for path, variable in runtime.state(network).variables.items():
        if variable.floating:
            array = np.asarray(runtime.read(network, path))
            name = (
                path.replace("bias_hh", "bias_ih") if "lstm" in path.lower() or "LSTM" in _kind(network, path) else path
            )
            found[name] = found[name] + array if name in found else array
    return Counter((a.shape, a.tobytes()) for a in found.values())


def _kind(network: Any, path: str) -> str:
    owner = network
    for part in path.split(".")[:-1]:
        owner = getattr(owner, part, owner)
    return " ".join(kind.__name__ for kind in type(owner).__mro__)


@pytest.mark.parametrize(("example", "target"), PAIRS, ids=[f"{e.framework}-{e.name}-{target}" for e, target in PAIRS])
def test_there_and_back(example: Example, target: str, tmp_path: Path) -> None:
    there = built(example.migrate(target, verify=False))
    back = onward(there, example, example.framework, tmp_path / "1" / f"{example.name}.py")
    verdict = back.migration.verify()
    assert verdict.status == "verified"
    assert verdict.max_rel_diff <= TOLERANCE
    assert numbers(example.framework, back.target) == numbers(example.framework, there.source)
    again = onward(back, example, target, tmp_path / "2" / f"{example.name}.py")
    returned = onward(again, example, example.framework, tmp_path / "3" / f"{example.name}.py")
    assert returned.migration.code == back.migration.code
    assert numbers(example.framework, returned.target) == numbers(example.framework, there.source)

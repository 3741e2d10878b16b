"""Carrying the weights of a source instance into a target instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from netferry.frameworks.base import Runtime, State
from netferry.weights.adjoint import adjoint
from netferry.weights.map import Array, Entry, WeightMap, apply


@dataclass
class Transfer:
    """What became of every array.

    Attributes:
        arrived: how many arrays of the target were set.
        missing: parameters of the source that arrived nowhere.
        unset: parameters of the target that received nothing.
        untied: arrays shared in the source that arrive in several arrays of the target.
        frozen: trained in the source, but not in the target.
        thawed: trained in the target, but not in the source.
        constants: buffers of either side that the map leaves out (each network computes its own).
        errors: what could not be set, and why.
    """

    arrived: int = 0
    missing: list[str] = field(default_factory=list)
    unset: list[str] = field(default_factory=list)
    untied: list[str] = field(default_factory=list)
    frozen: list[str] = field(default_factory=list)
    thawed: list[str] = field(default_factory=list)
    constants: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """Everything that a right migration does not have, in words."""
        return [
            *self.errors,
            *(f"{name} arrives nowhere in the target" for name in self.missing),
            *(f"{name} of the target receives nothing" for name in self.unset),
            *(f"the tie is lost of {name}" for name in self.untied),
            *(f"{name} is trained in the source but frozen in the target" for name in self.frozen),
        ]


def transfer(
    source: Runtime, source_network: Any, target: Runtime, target_network: Any, weight_map: WeightMap
) -> Transfer:
    """Copy every array of the source into the target (both built, the target called once where it builds lazily)."""
    before, after = source.state(source_network), target.state(target_network)
    report = Transfer()
    set_: set[str] = set()
    arrived: dict[str, list[tuple[Entry, str]]] = {}
    cache: dict[str, Array] = {}

    def read(name: str) -> Array:
        # Only the array read last is kept: one source array often makes neighbouring target arrays.
        canonical = before.canonical(name)
        if canonical not in before.variables:
            raise KeyError(name)
        if canonical not in cache:
            cache.clear()
            cache[canonical] = source.read(source_network, canonical)
        return cache[canonical]

    for entry, array in apply(weight_map, read):
        try:
            path = target.resolve(target_network, entry.target)
            target.assign(target_network, path, array)
        except KeyError:
            report.errors.append(f"the target has no array {entry.target}")
            continue
        except ValueError as error:
            report.errors.append(str(error))
            continue
        report.arrived += path not in set_
        set_.add(path)
        for name in entry.sources:
            arrived.setdefault(before.canonical(name), []).append((entry, path))
    _leftovers(report, before, after, weight_map, set(arrived), set_)
    _training(report, before, after, arrived)
    return report


def _leftovers(
    report: Transfer, before: State, after: State, weight_map: WeightMap, arrived: set[str], set_: set[str]
) -> None:
    for variable in before.variables.values():
        if variable.path not in arrived and variable.path not in weight_map.dropped:
            (report.missing if variable.kind == "parameter" else report.constants).append(variable.path)
    for variable in after.variables.values():
        if variable.path not in set_:
            lost = variable.kind == "parameter" or variable.path.rpartition(".")[2].startswith(("moving_", "running_"))
            (report.unset if lost else report.constants).append(variable.path)


def _training(report: Transfer, before: State, after: State, arrived: Mapping[str, list[tuple[Entry, str]]]) -> None:
    for name, places in arrived.items():
        variable = before.variables[name]
        if variable.kind != "parameter":
            continue
        trained = [after.variables[path].trainable for _, path in places]
        if variable.trainable and not all(trained):
            report.frozen.append(name)
        if not variable.trainable and any(trained):
            report.thawed.append(name)
        if _duplicated(name, places, before):
            report.untied.append(f"{name} ({', '.join(sorted({path for _, path in places}))})")


def _duplicated(name: str, places: list[tuple[Entry, str]], before: State) -> bool:
    """Whether the same element of a source array arrives in more than one array of the target."""
    targets = {path: entry for entry, path in places}
    if len(targets) == 1:
        return False
    counts = np.zeros(before.variables[name].shape)
    for entry in targets.values():
        shapes = {source: before.variables[before.canonical(source)].shape for source in entry.sources}
        made = entry.recipe({source: np.broadcast_to(0.0, shape) for source, shape in shapes.items()})
        for source, landed in adjoint(entry.recipe, np.ones(made.shape), shapes).items():
            if before.canonical(source) == name:
                counts += landed > 0
    return bool((counts > 1).any())

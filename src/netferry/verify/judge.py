"""Judging everything that two networks were measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from netferry.frameworks.base import Array, State
from netferry.verify.compare import CHAOTIC, TOLERANCE, Named, Outcome, Permutation, compare, in_layout
from netferry.verify.gradients import carried_back, compare_gradients
from netferry.verify.measure import Measured
from netferry.verify.statistics import compare_statistics
from netferry.weights.map import WeightMap


@dataclass
class Findings:
    """What the comparisons found; a number is None where nothing was compared."""

    forward: Outcome
    second_input: float | None = None
    training: float | None = None
    gradients: float | None = None
    running_statistics: float | None = None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def take(self, outcome: Outcome, check: str = "") -> float:
        """Record an outcome's problems and notes; returns its relative difference."""
        prefix = f"{check}: " if check else ""
        self.problems += [prefix + wrong for wrong in outcome.wrong]
        self.notes += [prefix + note for note in outcome.notes]
        return outcome.relative


@dataclass(frozen=True)
class Judge:
    """What judging needs beside the measurements.

    Attributes:
        weight_map: which arrays belong together.
        resolved: path of every target array in the map as the target's state lists it.
        state: the source's arrays.
        outputs: axes in which the target returns each output.
        adjusted: the source's buffers after training as the target's conventions update them.
        tolerance: what counts as rounding.
    """

    weight_map: WeightMap
    resolved: Mapping[str, str]
    state: State
    outputs: Sequence[Permutation]
    adjusted: Mapping[str, Array]
    tolerance: float = TOLERANCE

    def __call__(self, reference: Measured, found: Measured, repeated: Measured | None) -> Findings:
        """Compare; ``repeated`` is the source measured with slightly rounded values, where that is known."""
        again = repeated or Measured({})
        findings = Findings(self._outcome(reference.outputs, found.outputs, again.outputs))
        findings.take(findings.forward)
        for check, text in reference.failures.items():
            findings.notes.append(f"{check} is not compared: the source raises {text}")
        for check, text in found.failures.items():
            if check in found.refused:
                findings.notes.append(f"{check} is not compared: the target raises {text}")
            elif check not in reference.failures:
                findings.problems.append(f"{check}: the target raises {text}")
        findings.second_input = self._optional(findings, "second input", reference.second, found.second, again.second)
        findings.training = self._optional(
            findings, "training mode", reference.training, found.training, again.training
        )
        self._gradients(findings, reference, found, again)
        self._statistics(findings, reference, found, again)
        return findings

    def _outcome(self, expected: Named, found: Named, repeated: Named | None) -> Outcome:
        again = None if repeated is None else in_layout(repeated, self.outputs)
        return compare(in_layout(expected, self.outputs), found, again, self.tolerance)

    def _optional(
        self, findings: Findings, check: str, expected: Named | None, found: Named | None, repeated: Named | None
    ) -> float | None:
        if expected is None or found is None:
            return None
        outcome = self._outcome(expected, found, repeated)
        if outcome.noise > CHAOTIC:
            why = f"it is random, or rounding changes it by {outcome.noise:.1e}"
            findings.notes.append(f"{check} is not compared: {why}")
            return None
        return findings.take(outcome, check)

    def _gradients(self, findings: Findings, reference: Measured, found: Measured, repeated: Measured) -> None:
        if not reference.gradients or found.gradients is None:
            return
        back = carried_back(self.weight_map, found.gradients, self.resolved, self.state)
        outcome = compare_gradients(reference.gradients, back, repeated.gradients, self.tolerance)
        findings.gradients = findings.take(outcome)

    def _statistics(self, findings: Findings, reference: Measured, found: Measured, repeated: Measured) -> None:
        if reference.statistics is None or found.statistics is None or findings.training is None:
            return
        outcome = compare_statistics(
            self.weight_map, self.resolved, reference.statistics, self.adjusted, repeated.statistics,
            found.statistics, self.tolerance,
        )  # fmt: skip
        if outcome is not None:
            findings.running_statistics = findings.take(outcome)

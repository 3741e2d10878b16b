"""Proving by execution that two networks compute the same."""

from __future__ import annotations

import contextlib
import functools
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np

from netferry.frameworks.base import Arguments, Array
from netferry.verify import randomise
from netferry.verify.compare import (
    CHAOTIC,
    NARROW_TOLERANCE,
    TOLERANCE,
    Layouts,
    Named,
    compare,
    in_layout,
    permuted,
)
from netferry.verify.judge import Findings, Judge
from netferry.verify.localise import first_divergence
from netferry.verify.measure import Measured, Network, brief, buffers, measure, outputs_of, restore
from netferry.verify.report import Verification
from netferry.verify.single import compare_single
from netferry.verify.statistics import adjust
from netferry.weights.map import Entry, WeightMap
from netferry.weights.place import target_file
from netferry.weights.transfer import Transfer, transfer

_SEED = 20


_VARIES = 1e-9
"""How much other inputs must change an output, relative to its largest value: a saturated one hides errors."""


def _varies(array: Array, other: Array, least: float) -> bool:
    if not least or array.dtype.kind not in "fc" or array.shape != other.shape:
        return not np.array_equal(array, other)
    finite = np.isfinite(array) & np.isfinite(other)
    if not finite.any():
        return not np.array_equal(array, other, equal_nan=True)
    found, again = array[finite], other[finite]
    return bool(np.abs(found - again).max() > least * np.abs(found).max())


class _Ended(Exception):
    """Nothing more can be compared; the report says why."""


def verify(
    source: Network,
    target: Network,
    weight_map: WeightMap,
    inputs: Arguments,
    second_inputs: Arguments | None = None,
    layouts: Layouts | None = None,
) -> Verification:
    """Build both networks, give them the same random state and compare everything they compute.

    ``inputs`` are nested NumPy arrays in the source's layout; ``layouts`` says how the target takes and returns them.
    """
    given, second = source.runtime.arrays(inputs), source.runtime.arrays(second_inputs)
    comparison = _Comparison(source, target, weight_map, given, second, layouts or Layouts())
    with contextlib.suppress(_Ended):
        comparison.run()
    if not comparison.random:
        return comparison.report
    fixed = _Comparison(source, target, weight_map, given, second, layouts or Layouts())
    with contextlib.suppress(_Ended), source.runtime.fixed_randomness(), target.runtime.fixed_randomness():
        fixed.run()
    if fixed.random or fixed.report.status == "unverified":
        return comparison.report
    fixed.report.notes.append(f"{comparison.random}; compared with one constant for every random number")
    return fixed.report


class _Comparison:
    def __init__(
        self,
        source: Network,
        target: Network,
        weight_map: WeightMap,
        inputs: Arguments,
        second: Arguments | None,
        layouts: Layouts,
    ) -> None:
        self.source, self.target = source, target
        self.map, self.layouts = weight_map, layouts
        self.inputs, self.second = inputs, second
        self.report = Verification()
        self.generator = np.random.default_rng(_SEED)
        self.problems: list[str] = []
        self.random = ""
        self.report.tolerance = TOLERANCE

    # -- the steps -----------------------------------------------------------------------------------------------

    def run(self) -> None:
        with self.source.runtime.prepare("float64"), self.target.runtime.prepare("float64"):
            network, outputs = self._source_network()
            cotangents = {p: np.asarray(self.generator.standard_normal(array.shape)) for p, array in outputs.items()}
            reference = self._source_measured(network, cotangents)
            other = self._target_network()
            self._transfer(network, other)
            self._compare(network, other, reference, cotangents)
            self._locate(network, other)
            del other
        reference.gradients = None  # Frees memory: only the outputs are needed from here on.
        self._single(network, reference)
        self._verdict()

    def _source_network(self) -> tuple[Any, Named]:
        """The source with random state, the wildest that keeps its outputs finite and not constant; and these."""
        runtime = self.source.runtime
        buffers_used = {name for entry in self.map.entries if entry.kind == "buffer" for name in entry.sources}
        for level in (randomise.FULL, randomise.SETTLED, randomise.MILD):
            try:
                runtime.seed(_SEED)
                network = runtime.build(self.source.wide or self.source.factory, "float64")
                runtime.disable_dropout(network)
                outputs_of(runtime, network, self.inputs)
                randomise.randomise(runtime, network, buffers_used, self.generator, level)
                if level == randomise.SETTLED:
                    runtime.settle(network, self.inputs, self.generator)
                outputs = outputs_of(runtime, network, self.inputs)
            except Exception as error:  # noqa: BLE001 - networks raise anything
                self._end("the source cannot be run in float64", error)
            trouble, fixed = self._trouble(network, outputs, level)
            if not trouble:
                break
        if trouble:
            self._end(trouble)
        if level == randomise.MILD:
            self.report.notes.append("the state is the initial one varied by a tenth; random values made it degenerate")
        if fixed:
            self.report.notes.append(f"does not depend on the values of the inputs: {', '.join(fixed)}")
        return network, outputs

    def _trouble(self, network: Any, outputs: Named, level: int) -> tuple[str, list[str]]:
        """Why these outputs prove nothing, if so; and which of them do not depend on the inputs."""
        if not any(array.size for array in outputs.values()):
            return "the source returns no numbers", []
        finite = [bool(np.isfinite(array).any()) for array in outputs.values()]
        if not any(finite) or (level != randomise.MILD and not all(finite)):
            return "the outputs of the source are not finite", []
        varied = randomise.other_inputs(self.inputs, self.generator)
        if varied is None:
            return "", []
        again = outputs_of(self.source.runtime, network, varied)
        if again.keys() != outputs.keys():
            return "", []
        least = 0.0 if level == randomise.MILD else _VARIES
        fixed = [path or "the output" for path, array in outputs.items() if not _varies(array, again[path], least)]
        if len(fixed) == len(outputs):
            return "no output of the source depends on the values of its inputs", []
        return "", fixed

    def _repeatable(self, network: Any, outputs: Named) -> None:
        gap = compare(outputs, outputs_of(self.source.runtime, network, self.inputs, seed=2))
        if gap.relative > CHAOTIC:
            shapes = self._same_shapes(outputs)
            self.random = "the source is random in eval mode"
            self._end(f"{self.random}: two runs differ by {gap.relative:.1e}{shapes}")

    def _same_shapes(self, outputs: Named) -> str:
        """What can still be said about a target whose values cannot be compared."""
        try:
            other = self._target_network()
            found = outputs_of(self.target.runtime, other, self._converted(self.inputs))
        except _Ended:
            return f"; {self.report.reason}"
        expected = [array.shape for array in in_layout(outputs, self.layouts.outputs).values()]
        agree = expected == [array.shape for array in found.values()]
        return f"; the shapes {'agree' if agree else 'differ'}"

    def _target_network(self) -> Any:
        runtime = self.target.runtime
        given = self._converted(self.inputs)
        factory = self.target.wide or self.target.factory
        try:
            network = self._run_once(factory, given)
        except Exception as error:  # noqa: BLE001 - generated code raises anything
            try:
                network = self._run_once(self.target.widest or factory, given)
            except Exception:  # noqa: BLE001 - the first failure is the one to report
                self._end("the target cannot be run", error)
        if not all(map(functools.partial(self._exists, network), self.map.entries)):
            with contextlib.suppress(
                Exception
            ):  # Parts that only training reaches; what fails shows when it is compared.
                outputs_of(runtime, network, given, training=True)
        return network

    def _run_once(self, factory: Callable[[], Any], given: Arguments) -> Any:
        """A network of the target's that has run, so that all its variables exist."""
        runtime = self.target.runtime
        runtime.seed(_SEED)
        network = runtime.build(factory, "float64")
        runtime.disable_dropout(network)
        outputs_of(runtime, network, given)
        return network

    def _exists(self, network: Any, entry: Entry) -> bool:
        try:
            self.target.runtime.resolve(network, entry.target)
        except KeyError:
            return False
        return True

    def _transfer(self, network: Any, other: Any) -> None:
        try:
            moved: Transfer = transfer(self.source.runtime, network, self.target.runtime, other, self.map)
        except Exception as error:  # noqa: BLE001 - whatever it is, the weights did not arrive
            self._end("the weights do not fit", error)
        self.problems += moved.problems
        if moved.thawed:
            self.report.notes.append(f"frozen in the source, trained in the target: {', '.join(moved.thawed)}")
        if moved.constants:
            self.report.notes.append(f"{len(moved.constants)} buffers are left out of the weight map")
        for why in dict.fromkeys(self.map.dropped.values()):
            count = sum(reason == why for reason in self.map.dropped.values())
            self.report.notes.append(f"{count} arrays of the source are left out: {why}")

    def _source_measured(self, network: Any, cotangents: Named) -> Measured:
        try:
            return measure(self.source.runtime, network, self.inputs, cotangents, self.second)
        except Exception as error:  # noqa: BLE001 - networks raise anything, also when called again
            self._end("the source cannot be run again", error)

    def _target_measured(self, other: Any, reference: Measured, cotangents: Named) -> Measured:
        runtime = self.target.runtime
        second = None if reference.second is None or self.second is None else self._converted(self.second)
        weights = in_layout(cotangents, self.layouts.outputs)
        try:
            return measure(runtime, other, self._converted(self.inputs), weights, second)
        except Exception as error:  # noqa: BLE001 - generated code raises anything
            self._end("the target cannot be run with the source's weights", error)

    # -- the comparisons -----------------------------------------------------------------------------------------

    def _compare(self, network: Any, other: Any, reference: Measured, cotangents: Named) -> None:
        found = self._target_measured(other, reference, cotangents)
        self.report.notes += self.target.runtime.compilation(other)
        judge = Judge(
            self.map, self._resolved(other), self.source.runtime.state(network), self.layouts.outputs,
            self._adjusted(network, reference),
        )  # fmt: skip
        findings = judge(reference, found, None)
        if findings.problems:
            findings = self._second_look(judge, network, other, reference, found, cotangents)
        report = self.report
        report.max_abs_diff, report.max_rel_diff = findings.forward.absolute, findings.forward.relative
        report.gradients, report.training = findings.gradients, findings.training
        report.running_statistics, report.second_input = findings.running_statistics, findings.second_input
        self.problems += findings.problems
        report.notes += findings.notes

    def _second_look(
        self, judge: Judge, network: Any, other: Any, reference: Measured, found: Measured, cotangents: Named
    ) -> Findings:
        """Judge what differs by the source's own sensitivity to rounding; name the place if it differs still."""
        runtime = self.source.runtime
        self._repeatable(network, reference.outputs)
        randomise.perturb_state(runtime, network, self.generator)
        rounded = randomise.perturb_inputs(self.inputs, self.generator)
        repeated = measure(runtime, network, rounded, cotangents, self.second)
        findings = judge(reference, found, repeated)
        noise = self.report.sensitivity = findings.forward.noise
        if noise > CHAOTIC:
            self._end(f"rounding alone changes the source's outputs by {noise:.1e}: nothing can be compared")
        if findings.problems and findings.forward.relative < NARROW_TOLERANCE and self._narrow(network, other):
            self.report.tolerance = NARROW_TOLERANCE
            self.report.notes.append(f"computes partly below float64, so {NARROW_TOLERANCE:.0e} is accepted")
            findings = replace(judge, tolerance=NARROW_TOLERANCE)(reference, found, repeated)
        if not findings.forward.agrees:
            self._localise(network, other)
        return findings

    def _adjusted(self, network: Any, reference: Measured) -> Mapping[str, Array]:
        """The source's buffers after the training step as the target's conventions would have updated them."""
        runtime = self.source.runtime
        ddof = runtime.variance_ddof, self.target.runtime.variance_ddof
        after = reference.statistics
        if not after or ddof[0] == ddof[1]:
            return after or {}
        before = buffers(runtime, network)
        updates = runtime.variance_updates(network, self.inputs)
        restore(runtime, network, before)
        return adjust(before, after, updates, ddof)

    def _localise(self, network: Any, other: Any) -> None:
        try:
            # The source's values were rounded since they were transferred.
            transfer(self.source.runtime, network, self.target.runtime, other, self.map)
            calls = self.source.runtime.submodule_calls(network, self.inputs)
            others = self.target.runtime.submodule_calls(other, self._converted(self.inputs))
            self.report.first_divergence = first_divergence(calls, others, self.map)
        except Exception as error:  # noqa: BLE001 - the mismatch is known; only its place is not
            self.report.notes.append(f"the first difference cannot be located: {brief(error)}")

    def _locate(self, network: Any, other: Any) -> None:
        try:
            places = self.source.runtime.weights_file(network)
            self.report.source_places = dict(places.paths) if places is not None else {}
            self.report.source_graph = dict(places.graph) if places is not None else {}
            self.report.target_file = target_file(self.map, self.target.runtime, other)
        except Exception as error:  # noqa: BLE001 - only files of the target's own format need it
            self.report.notes.append(f"the target's weights file cannot be described: {brief(error)}")

    def _narrow(self, network: Any, other: Any) -> bool:
        sides = ((self.source, network, self.inputs), (self.target, other, self._converted(self.inputs)))
        return any(side.runtime.narrows(built, given) for side, built, given in sides)

    def _single(self, network: Any, reference: Measured) -> None:
        given = self._converted(self.inputs)
        single = compare_single(
            self.source, self.target, self.map, network, self.inputs, given, reference.outputs, self.layouts.outputs
        )
        self.report.float32 = single.difference
        self.problems += single.problems
        self.report.notes += single.notes

    # -- helpers -------------------------------------------------------------------------------------------------

    def _converted(self, arguments: Arguments) -> Arguments:
        return self.target.convert(permuted(arguments, self.layouts.inputs))

    def _resolved(self, other: Any) -> Mapping[str, str]:
        runtime = self.target.runtime
        found = {}
        for entry in self.map.entries:
            try:
                found[entry.target] = runtime.resolve(other, entry.target)
            except KeyError:
                found[entry.target] = entry.target
        return found

    def _verdict(self) -> None:
        if self.problems:
            self.report.status = "mismatch"
            self.report.reason = shortened(self.problems)
            return
        self.report.status = "verified"

    def _end(self, reason: str, error: BaseException | None = None) -> NoReturn:
        self.report.reason = reason if error is None else f"{reason}: {brief(error)}"
        if error is not None:
            self.report.error = "".join(traceback.format_exception(error)[-8:])
        raise _Ended


def shortened(problems: Sequence[str], limit: int = 3) -> str:
    """The first few problems."""
    more = f"; and {len(problems) - limit} more" if len(problems) > limit else ""
    return "; ".join(problems[:limit]) + more


__all__ = ["Array", "Layouts", "Network", "Verification", "verify"]

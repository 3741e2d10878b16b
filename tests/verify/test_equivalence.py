"""Verification accepts right migrations and finds, names and places planted faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("keras")

import keras
import torch
from torch import nn

from netferry.frameworks.base import runtime
from netferry.verify.compare import Layouts
from netferry.verify.equivalence import verify
from netferry.verify.measure import Network
from netferry.verify.report import Verification
from netferry.weights.map import WeightMap
from tests.verify import pairs

NHWC = (0, 2, 3, 1)
IMAGES = Layouts(inputs=[NHWC], outputs=[NHWC, None])


def image(height: int, width: int) -> Any:
    return ((np.random.default_rng(0).standard_normal((2, 3, height, width)).astype("float32"),), {})


def compare(
    source: Callable[[], Any], target: Callable[[], Any], weights: WeightMap, inputs: Any, **more: Any
) -> Verification:
    return verify(Network(runtime("torch"), source), Network(runtime("keras"), target), weights, inputs, **more)


def images(fault: str = "", bias: bool = True) -> Verification:
    return compare(
        pairs.Source, lambda: pairs.Target(fault, bias), pairs.weight_map(fault, bias), image(8, 12),
        second_inputs=image(16, 6), layouts=IMAGES,
    )  # fmt: skip


def test_right_migration_is_verified() -> None:
    report = images()
    assert report.passed, report
    for measured in (report.max_rel_diff, report.gradients, report.training, report.second_input):
        assert measured is not None and measured < 1e-12
    assert report.running_statistics is not None and report.running_statistics < 1e-12
    assert report.float32 is not None and 1e-9 < report.float32 < 1e-4
    assert any("running variances" in note for note in report.notes)
    assert report.first_divergence is None
    assert report.summary().startswith("forward ")
    assert report.to_json()["status"] == "verified"


@pytest.mark.parametrize(
    ("fault", "place"),
    [
        ("padding", "blocks.1.conv"),
        ("layout", "blocks.1.conv"),
        ("epsilon", "blocks.1.bn"),
        ("slope", "blocks.1.act"),
    ],
)
def test_fault_is_placed(fault: str, place: str) -> None:
    report = images(fault)
    assert report.status == "mismatch"
    assert report.first_divergence is not None, report
    assert report.first_divergence.source == place
    # The target's convolution of padded inputs cannot be compared input by input.
    assert report.first_divergence.inside is (None if fault == "layout" else True)


def test_missing_bias_is_named() -> None:
    report = images(bias=False)
    assert report.status == "mismatch"
    assert "head.bias arrives nowhere" in report.reason


def test_frozen_weight_is_named() -> None:
    report = images("frozen")
    assert report.status == "mismatch"
    assert "blocks.1.conv.weight is trained in the source but frozen" in report.reason


def test_unset_statistics_are_named() -> None:
    report = images("statistics")
    assert report.status == "mismatch"
    assert "blocks.0.bn.moving_mean of the target receives nothing" in report.reason


def test_wrong_momentum_shows_only_in_the_statistics() -> None:
    report = images("momentum")
    assert report.status == "mismatch"
    assert report.max_rel_diff is not None and report.max_rel_diff < 1e-12
    assert "after a training step" in report.reason


def test_training_flag_not_passed_shows_in_training_mode() -> None:
    report = images("training")
    assert report.status == "mismatch"
    assert report.training is not None and report.training > 1e-3
    assert "training mode: " in report.reason


TOKENS = ((np.random.default_rng(0).integers(0, 11, (2, 5)),), {})


def test_tied_weights() -> None:
    report = compare(pairs.Tied, pairs.KerasTied, pairs.tied_map(), TOKENS)
    assert report.passed, report


def test_lost_tie_is_named() -> None:
    report = compare(pairs.Tied, lambda: pairs.KerasTied(tied=False), pairs.tied_map(tied=False), TOKENS)
    assert report.status == "mismatch"
    assert report.max_rel_diff is not None and report.max_rel_diff < 1e-12
    assert "the tie is lost of embed.weight (embed.embeddings, lm_head.kernel)" in report.reason


class Function(nn.Module):
    """A network without parameters that computes ``function``."""

    def __init__(self, function: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(x)


class KerasFunction(keras.Model):
    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def call(self, x: Any) -> Any:
        return self.function(x)


def functions(source: Callable[[Any], Any], target: Callable[[Any], Any], x: Any = None) -> Verification:
    given = np.random.default_rng(0).standard_normal((3, 4)) if x is None else x
    empty = WeightMap((), "torch", "keras")
    return compare(lambda: Function(source), lambda: KerasFunction(target), empty, ((given,), {}))


def test_random_source_is_compared_with_fixed_numbers() -> None:
    def normal(scale: float) -> Verification:
        return functions(
            lambda x: x + torch.randn_like(x) + torch.rand(3, 1) + torch.normal(0.0, 2.0, (3, 4)),
            lambda x: (
                x
                + scale * keras.random.normal(keras.ops.shape(x), dtype=x.dtype)
                + keras.random.uniform((3, 1))
                + keras.random.normal((3, 4), 0.0, 2.0)
            ),
        )

    report = normal(1.0)
    assert report.passed, report
    assert any("random in eval mode" in note for note in report.notes)
    assert normal(1.1).status == "mismatch"


def test_randomness_that_cannot_be_fixed_is_not_verified() -> None:
    def draw(x: torch.Tensor) -> torch.Tensor:
        return x + torch.multinomial(torch.ones(3, 40), 4)

    report = functions(draw, lambda x: x)
    assert report.status == "unverified"
    assert "random in eval mode" in report.reason
    assert "the shapes agree" in report.reason


def test_values_that_are_not_finite_are_not_verified() -> None:
    assert functions(lambda x: x / 0 * 0, lambda x: x / 0 * 0).status == "unverified"


def test_constant_output_is_not_verified() -> None:
    report = functions(lambda x: x * 0, lambda x: x * 0)
    assert report.status == "unverified"
    assert "depends" in report.reason


def test_infinities_are_compared_by_place() -> None:
    def masked(infinity: float) -> Verification:
        return functions(lambda x: x.masked_fill(x > 0, float("-inf")), lambda x: keras.ops.where(x > 0, infinity, x))

    assert masked(float("-inf")).passed
    assert masked(-1e9).status == "mismatch"


def test_small_float64_error_is_a_mismatch() -> None:
    assert functions(lambda x: x * 2, lambda x: x * (2 + 1e-10)).status == "mismatch"


def test_sensitive_source_is_judged_by_its_own_rounding() -> None:
    report = functions(lambda x: (x + 1e5 - 1e5) ** 3, lambda x: (1e5 + x) ** 3 - 3e5 * 1e5 * x)
    assert report.status == "mismatch"
    assert functions(lambda x: torch.exp(x + 1e3 - 1e3), lambda x: keras.ops.exp(x)).passed


def test_network_that_computes_in_float32_is_judged_by_float32() -> None:
    single = np.ones(1, "float32")
    report = functions(lambda x: x.type_as(torch.from_numpy(single)).exp(), lambda x: keras.ops.exp(x))
    assert report.passed, report
    assert any("below float64" in note for note in report.notes)


def test_target_that_raises_is_not_verified() -> None:
    def broken(x: Any) -> Any:
        raise NotImplementedError("no such thing")

    report = functions(lambda x: x, broken)
    assert report.status == "unverified"
    assert "no such thing" in report.reason
    assert report.error


def test_wrong_number_of_outputs() -> None:
    assert "returns 2 arrays, the target 1" in functions(lambda x: (x, x), lambda x: x).reason


def test_wrong_integer_output() -> None:
    assert functions(lambda x: x.argmax(1), lambda x: keras.ops.argmax(x, axis=1)).passed
    assert functions(lambda x: x.argmax(1), lambda x: keras.ops.argmin(x, axis=1)).status == "mismatch"

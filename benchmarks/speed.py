"""How fast migrated networks run beside hand-written ones of the same widths: Keras's own to PyTorch, beside torchvision's."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks import corpus_environment

CLASSES = 1000
PAIRS = {
    "ResNet50": ("keras.src.applications.resnet", "resnet50"),
    "MobileNetV2": ("keras.src.applications.mobilenet_v2", "mobilenet_v2"),
    "EfficientNetB0": ("keras.src.applications.efficientnet", "efficientnet_b0"),
    "ConvNeXtTiny": ("keras.src.applications.convnext", "convnext_tiny"),
}
"""Network of Keras -> its module, and the function of torchvision that makes the hand-written one."""
AGREEMENT = 1e-3
"""Relative difference in float32 below which the migrated network computes what its source does."""


@dataclass(frozen=True)
class Timing:
    """Median seconds of a call of both, and the median of their ratios, pair by pair."""

    name: str
    migrated: float
    written: float
    ratio: float
    difference: float


def measure(name: str, batch: int, size: int, repeats: int) -> Timing:
    """Migrate one network, carry the weights of an instance, and time it beside the hand-written one."""
    import torch
    import torchvision

    migrated, difference = _migrated(name, size)
    written = getattr(torchvision.models, PAIRS[name][1])().eval()
    x = torch.randn(batch, 3, size, size)
    with torch.inference_mode():
        pairs = _interleaved(lambda: migrated(x), lambda: written(x), repeats)
    mine, theirs = (statistics.median(seconds) for seconds in zip(*pairs, strict=True))
    return Timing(name, mine, theirs, statistics.median(a / b for a, b in pairs), difference)


def _interleaved(first: Callable[[], Any], second: Callable[[], Any], repeats: int) -> list[tuple[float, float]]:
    """Seconds of both, turn by turn, after some turns to warm up; each goes first every other time."""
    found: list[tuple[float, float]] = []
    for turn in range(repeats + 2):
        if turn % 2:
            late, early = _seconds(second), _seconds(first)
        else:
            early, late = _seconds(first), _seconds(second)
        found.append((early, late))
    return found[2:]


def _seconds(run: Callable[[], Any]) -> float:
    """Processor time: on a machine that others use too, the clock tells of them."""
    started = time.process_time()
    run()
    return time.process_time() - started


def _migrated(name: str, size: int) -> tuple[Any, float]:
    """The PyTorch network with the weights of a Keras one, and how far their outputs are apart."""
    import keras
    import numpy as np
    import torch

    import netferry

    call = f"{name}(weights=None, input_shape=({size}, {size}, 3), classes={CLASSES}, classifier_activation=None)"
    shape = {"shape": [1, size, size, 3], "dtype": "float32"}
    made = netferry.migrate(PAIRS[name][0], entry=name, to="torch", call=call, inputs=[shape], verify=False)
    source = eval(call, dict(vars(keras.applications)))
    target = made.build()
    problems = made.transfer(source, target).problems
    if problems:
        raise RuntimeError(f"{name}: {problems[0]}")
    x = np.random.default_rng(0).normal(size=(1, size, size, 3)).astype("float32")
    expected = keras.ops.convert_to_numpy(source(x, training=False))
    with torch.inference_mode():
        found = target.eval()(torch.from_numpy(x).permute(0, 3, 1, 2)).numpy()
    return target, float(np.abs(found - expected).max() / np.abs(expected).max())


def main(
    only: Annotated[list[str] | None, typer.Argument(help="Networks; all by default.")] = None,
    batch: Annotated[int, typer.Option(help="Images in a batch.")] = 2,
    size: Annotated[int, typer.Option(help="Height and width of the images.")] = 224,
    repeats: Annotated[int, typer.Option(help="Calls of each.")] = 25,
    limit: Annotated[float, typer.Option(help="Fail above this ratio of the times.")] = 1.05,
) -> None:
    """Print the times of both side by side; fail when a migrated network is slower than the limit allows."""
    corpus_environment.preload(("numpy", "torch", "tensorflow", "keras"))
    corpus_environment.define_schemas()
    corpus_environment.single_threaded()
    import torch

    torch.set_flush_denormal(True)
    table = Table(title=f"batch of {batch}, {size}x{size}, one thread of the CPU")
    for heading in ("network", "migrated", "torchvision", "ratio", "from Keras"):
        table.add_column(heading)
    failed = False
    for name in only or PAIRS:
        found = measure(name, batch, size, repeats)
        row = (f"{1000 * found.migrated:.1f} ms", f"{1000 * found.written:.1f} ms", f"{found.ratio:.3f}")
        table.add_row(name, *row, f"{found.difference:.0e}")
        failed = failed or found.ratio > limit or found.difference > AGREEMENT
    Console().print(table)
    if failed:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)

"""How fast migrated networks run beside hand-written ones of the same widths.

Keras's own to PyTorch, beside torchvision's; torchvision's to Flax NNX, compiled, beside those of ``flax_written``.
"""

from __future__ import annotations

import os
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
IN_FLAX = {
    "resnet50": ("torchvision.models.resnet", "ResNet50"),
    "vit_b_16": ("torchvision.models.vision_transformer", "VisionTransformer"),
}
"""Function of torchvision -> its module, and the class of the hand-written one."""
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
    return _in_flax(name, batch, size, repeats) if name in IN_FLAX else _in_torch(name, batch, size, repeats)


def _in_torch(name: str, batch: int, size: int, repeats: int) -> Timing:
    import torch
    import torchvision

    migrated, difference = _migrated(name, size)
    written = getattr(torchvision.models, PAIRS[name][1])().eval()
    x = torch.randn(batch, 3, size, size)
    with torch.inference_mode():
        return _timed(name, lambda: migrated(x), lambda: written(x), repeats, difference)


def _in_flax(name: str, batch: int, size: int, repeats: int) -> Timing:
    import jax.numpy as jnp
    import numpy as np
    from flax import nnx

    from benchmarks import flax_written

    migrated, difference = _flax_migrated(name, size)
    kind = getattr(flax_written, IN_FLAX[name][1])
    options = {"size": size} if name.startswith("vit") else {}
    x = jnp.asarray(np.random.default_rng(1).normal(size=(batch, size, size, 3)).astype("float32"))
    first, second = (_compiled(network) for network in (migrated, kind(rngs=nnx.Rngs(0), **options)))
    return _timed(name, lambda: first(x), lambda: second(x), repeats, difference)


def _compiled(network: Any) -> Callable[[Any], Any]:
    """A network for inference as one program of its variables and the input; waits for the result."""
    import jax
    from flax import nnx

    network.eval()
    definition, state = nnx.split(network)
    run = jax.jit(lambda state, x: nnx.merge(definition, state)(x))
    return lambda x: run(state, x).block_until_ready()


def _flax_migrated(name: str, size: int) -> tuple[Any, float]:
    """The NNX network with the weights of one of torchvision, and how far their outputs are apart."""
    import numpy as np
    import torch
    import torchvision

    import netferry

    options = {"image_size": size} if name.startswith("vit") else {}
    call = f"{name}({', '.join(f'{k}={v}' for k, v in options.items())})"
    shape = {"shape": [1, 3, size, size], "dtype": "float32"}
    made = netferry.migrate(IN_FLAX[name][0], entry=name, to="flax", call=call, inputs=[shape], verify=False)
    source = getattr(torchvision.models, name)(**options).eval()
    for parameter in source.parameters():
        if not parameter.any():  # Zeros would hide what is before them.
            torch.nn.init.normal_(parameter, std=0.02)
    target = made.build()
    problems = made.transfer(source, target).problems
    if problems:
        raise RuntimeError(f"{name}: {problems[0]}")
    x = np.random.default_rng(0).normal(size=(1, size, size, 3)).astype("float32")
    with torch.inference_mode():
        expected = source(torch.from_numpy(x).permute(0, 3, 1, 2)).numpy()
    target.eval()
    return target, float(np.abs(np.asarray(target(x)) - expected).max() / np.abs(expected).max())


def _timed(name: str, first: Callable[[], Any], second: Callable[[], Any], repeats: int, difference: float) -> Timing:
    pairs = _interleaved(first, second, repeats)
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
    # Read when JAX first computes: one thread, and all that the compiler can do.
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    corpus_environment.preload()
    corpus_environment.define_schemas()
    corpus_environment.single_threaded()
    import torch

    torch.set_flush_denormal(True)
    table = Table(title=f"batch of {batch}, {size}x{size}, one thread of the CPU")
    for heading in ("network", "migrated", "written by hand", "ratio", "from its source"):
        table.add_column(heading)
    failed = False
    for name in only or (*PAIRS, *IN_FLAX):
        found = measure(name, batch, size, repeats)
        row = (f"{1000 * found.migrated:.1f} ms", f"{1000 * found.written:.1f} ms", f"{found.ratio:.3f}")
        table.add_row(name, *row, f"{found.difference:.0e}")
        failed = failed or found.ratio > limit or found.difference > AGREEMENT
    Console().print(table)
    if failed:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)

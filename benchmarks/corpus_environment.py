"""The process environment of the scoreboard: frameworks imported once, before the workers are forked."""

from __future__ import annotations

import importlib
import importlib.util
import os
import random
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "CUDA_VISIBLE_DEVICES": "-1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
FRAMEWORKS = ("numpy", "torch", "tensorflow", "keras", "jax", "flax.nnx")

# Declared by the compiled parts of these packages; their models only need the declarations.
_SCHEMAS = {
    "torchvision": [f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor" for name in ("nms", "qnms")]
}
_libraries: list[Any] = []


def preload(frameworks: tuple[str, ...] = FRAMEWORKS) -> None:
    """Import the installed frameworks, running none of their operations: threads do not survive a fork."""
    os.environ.update(QUIET)
    warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
    with _silence():
        for name in frameworks:
            if importlib.util.find_spec(name.partition(".")[0]):
                importlib.import_module(name)
        list(importlib.import_module("netferry.ops.registry").all_ops())


@contextmanager
def _silence() -> Iterator[None]:
    """Hide what C++ libraries print while they load."""
    sys.stderr.flush()
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def single_threaded() -> None:
    """One thread for every framework that is loaded: the workers share the cores."""
    torch, tensorflow = sys.modules.get("torch"), sys.modules.get("tensorflow")
    if torch is not None:
        torch.set_num_threads(1)
    if tensorflow is not None:
        threading = tensorflow.config.threading
        threading.set_intra_op_parallelism_threads(1)
        threading.set_inter_op_parallelism_threads(1)


def seed(number: int) -> None:
    """Seed every source of randomness that a network's constructor may use."""
    random.seed(number)
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed(number)
    if (torch := sys.modules.get("torch")) is not None:
        torch.manual_seed(number)


def define_schemas() -> None:
    """Declare the operators of packages whose compiled part is installed but does not load with this torch."""
    torch = sys.modules.get("torch")
    for package, schemas in _SCHEMAS.items():
        spec = importlib.util.find_spec(package)
        if torch is None or spec is None or spec.origin is None or package in sys.modules:
            continue
        if _loads(torch, Path(spec.origin).parent.glob("_C*.so")):
            continue
        library = torch.library.Library(package, "DEF")
        for schema in schemas:
            library.define(schema)
        _libraries.append(library)  # the declarations live as long as the object does


def _loads(torch: Any, files: Iterable[Path]) -> bool:
    """Whether the compiled part can be loaded (it then is)."""
    try:
        for file in files:
            torch.ops.load_library(str(file))
            return True
    except (ImportError, OSError):
        pass
    return False

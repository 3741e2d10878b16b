"""Migrates torchvision's ResNet-18 from its own source to TensorFlow, weights included, and shows the summary."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.corpus_environment import define_schemas
from netferry.cli import app

SOURCE = "torchvision.models.resnet:resnet18"


def main(folder: Path) -> int:
    """Run the two commands a user would run; the files are in ``folder`` afterwards."""
    import torch

    define_schemas()  # torchvision's compiled part does not load everywhere; its networks do not need it.
    folder.mkdir(parents=True, exist_ok=True)
    code, checkpoint = folder / "resnet_tensorflow.py", folder / "resnet18.pt"
    status = command("migrate", SOURCE, "--to", "tensorflow", "-o", str(code), "--force", "--input", "2x3x64x72")
    if status:
        return status
    from torchvision.models import resnet18

    torch.save(resnet18(weights=None).state_dict(), checkpoint)
    weight_map, converted = folder / "resnet_tensorflow.weights.json", folder / "resnet18.weights.h5"
    return command("weights", str(checkpoint), "--map", str(weight_map), "-o", str(converted), "--force")


def command(*arguments: str) -> int:
    """One netferry command in this process, shown as it would be typed."""
    print("$ netferry", " ".join(arguments), flush=True)
    try:
        app(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/demo")))

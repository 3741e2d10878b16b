"""Writes the migrated files of every example: ``python -m examples.regenerate`` (``--check`` only compares)."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
TARGETS = {"torch": ("tensorflow", "keras"), "keras": ("torch",)}
"""What is written from the networks of each framework."""


@dataclass(frozen=True)
class Example:
    """One network: the framework and the file it is written in, how it is built, and what it is called with."""

    framework: str
    name: str
    entry: str
    call: str
    input: str

    @property
    def source(self) -> Path:
        """The file that somebody wrote."""
        return FOLDER / self.framework / f"{self.name}.py"

    def output(self, target: str) -> Path:
        """The migrated file."""
        return FOLDER / "migrated" / f"{self.framework}_to_{target}" / f"{self.name}.py"

    def migrate(self, target: str, *, verify: bool) -> Any:
        """Migrate it; the result is a ``netferry.Migration``."""
        import netferry

        return netferry.migrate(
            str(self.source), entry=self.entry, to=target, call=self.call, inputs=[self.input], verify=verify
        )


EXAMPLES = (
    Example("torch", "alexnet", "AlexNet", "AlexNet(num_classes=10)", "2x3x67x79"),
    Example("torch", "vgg16", "vgg16", "vgg16(num_classes=10, hidden=24)", "2x3x33x38"),
    Example("torch", "cifar10_cnn", "Net", "Net()", "4x3x32x32"),
    Example("torch", "lstm_text_classifier", "LSTMClassifier", "LSTMClassifier()", "3x7:int64:5000"),
    Example("torch", "cnn_rnn", "CNNRNN", "CNNRNN()", "2x12x25"),
    Example("keras", "alexnet", "alexnet", "alexnet((67, 79, 3), num_classes=10)", "2x67x79x3"),
    Example("keras", "vgg16", "vgg16", "vgg16((33, 38, 3), num_classes=10, hidden=24)", "2x33x38x3"),
    Example("keras", "cifar10_cnn", "model", "model", "4x32x32x3"),
    Example("keras", "lstm_text_classifier", "LSTMClassifier", "LSTMClassifier()", "3x7:int64:5000"),
    Example("keras", "cnn_rnn", "cnn_rnn", "cnn_rnn()", "2x25x12"),
)
PAIRS = tuple((example, target) for example in EXAMPLES for target in TARGETS[example.framework])


def main(check: bool) -> int:
    """Write all files, or name those that are out of date; the exit status is their number."""
    stale = 0
    for example, target in PAIRS:
        code, file = example.migrate(target, verify=False).code, example.output(target)
        if file.exists() and file.read_text(encoding="utf-8") == code:
            continue
        stale += check
        print(f"{'out of date' if check else 'written'}: {file.relative_to(FOLDER.parent)}")
        if not check:
            file.parent.mkdir(exist_ok=True)
            file.write_text(code, encoding="utf-8")
    return stale


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))

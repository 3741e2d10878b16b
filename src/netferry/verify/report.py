"""What verification found, for people and for machines."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from netferry.weights.map import TargetFile

Status = Literal["verified", "mismatch", "unverified"]


@dataclass(frozen=True)
class Divergence:
    """The first place at which the two networks differ.

    Attributes:
        source, target: the submodule's path in each network (empty: the network itself).
        kind: its class in the source.
        difference: relative, of what it returns.
        inside: True when its inputs still agree, False when they differ already, None when that cannot be told.
        after: the submodule before it, which still agrees.
    """

    source: str
    target: str
    kind: str
    difference: float
    inside: bool | None
    after: str = ""

    def __str__(self) -> str:
        name = f"{self.source} ({self.kind})" if self.source else self.kind
        place = f"{name}, {self.target} in the target" if self.source != self.target else name
        if self.inside is False:
            since = f"between {self.after} and {place}" if self.after else f"before {place}"
            return f"{since}, whose inputs differ already"
        return f"in {place}: relative difference {self.difference:.1e}"


@dataclass
class Verification:
    """The comparison of two networks; a check that did not run is None, and ``notes`` say why.

    Attributes:
        status: verified only when everything that ran agrees.
        reason: why it is not verified.
        max_abs_diff, max_rel_diff: of the outputs in eval mode, in float64.
        gradients: of every trainable parameter, relative to the largest of that parameter.
        training: of the outputs in training mode without dropout.
        running_statistics: of the buffers after a training step.
        float32: of the outputs in eval mode, in float32.
        second_input: of the outputs for inputs of another size.
        sensitivity: what rounding in the inputs and weights changes in the source's own outputs.
        tolerance: largest relative difference that counts as rounding.
        first_divergence: the first submodule that differs.
        error: the exception that ended the comparison, with the last lines of its traceback.
        target_file: where the target framework's own weights file keeps the arrays, for the weight map.
    """

    status: Status = "unverified"
    reason: str = ""
    max_abs_diff: float | None = None
    max_rel_diff: float | None = None
    gradients: float | None = None
    training: float | None = None
    running_statistics: float | None = None
    float32: float | None = None
    second_input: float | None = None
    sensitivity: float | None = None
    tolerance: float | None = None
    first_divergence: Divergence | None = None
    notes: list[str] = field(default_factory=list)
    error: str = ""
    target_file: TargetFile | None = field(default=None, repr=False)
    source_places: dict[str, str] = field(default_factory=dict, repr=False)
    source_graph: dict[str, Any] = field(default_factory=dict, repr=False)
    """Where the source framework's own weights file keeps the arrays, for the weight map."""

    @property
    def passed(self) -> bool:
        """Whether everything that ran agrees."""
        return self.status == "verified"

    def summary(self) -> str:
        """One line: the reason, if it is not verified, and every difference measured."""
        parts = []
        if self.max_rel_diff is not None:
            single = "" if self.float32 is None else f"{self.float32:.1e} (float32) "
            parts.append(f"forward {single}{self.max_rel_diff:.1e} (float64)")
        named = {
            "gradients": self.gradients,
            "training mode": self.training,
            "running statistics": self.running_statistics,
            "second input": self.second_input,
        }
        parts += [f"{name} {value:.1e}" for name, value in named.items() if value is not None]
        return " · ".join([self.reason, *parts] if self.reason else parts)

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        found = asdict(replace(self, target_file=None)) | {"summary": self.summary()}
        del found["target_file"], found["source_places"], found["source_graph"]
        return found

"""A network's data flow as a Mermaid graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netferry.pivot.network import Network, Step


def mermaid(network: Network) -> str:
    """The text of the graph: inputs, steps and outputs, with the shape of every tensor between them."""
    return "\n".join(["graph TD", *(f"  {line}" for line in _lines(network))]) + "\n"


def _lines(network: Network) -> Iterator[str]:
    origin: dict[str, str] = {}
    for number, name in enumerate(network.inputs):
        origin[name] = f"in{number}"
        yield f'in{number}(["input {network.values[name].text}"])'
    for number, step in enumerate(network.steps):
        node = f"n{number}"
        yield f'{node}["{_label(step)}"]'
        for name in dict.fromkeys(v for values in step.inputs.values() for v in values):
            value = network.values[name]
            if name not in origin and value.source is not None:
                origin[name] = f"p{len(origin)}"
                yield f'{origin[name]}[("{value.source}")]'
            if name in origin:
                yield f"{origin[name]} -->|{value.text}| {node}"
        origin |= dict.fromkeys(step.outputs, node)
    for number, name in enumerate(network.outputs):
        yield f'out{number}(["output {network.values[name].text}"])'
        if name in origin:
            yield f"{origin[name]} --> out{number}"


def _label(step: Step) -> str:
    return f"{step.layer}: {step.op}" if step.layer else step.op

"""Layers made of layers: their parts are found under the same paths in both frameworks, and they compute the same."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from netferry.ops import registry
from netferry.weights.rearrange import Spec, from_framework, to_framework
from tests.ops.backends import at_path, backend, flat
from tests.ops.harness import evaluate, with_supports

SIZES: Mapping[str, Any] = {"d_model": 6, "nhead": 2, "dim_feedforward": 8, "dropout": 0.0}
LAYERS = {f"Transformer{kind.title()}Layer": f"transformer_{kind}_layer" for kind in ("encoder", "decoder")}
PADDING = np.arange(4) >= np.array([[3], [4], [2]])
CAUSAL = np.triu(np.full((5, 5), -np.inf), 1)


def build(framework: str, text: str) -> Any:
    """The layer of an expression written for PyTorch or with support classes."""
    tool = backend(framework)
    prefix = "torch.nn." if framework == "torch" else ""
    norm = {"torch": "torch.nn.LayerNorm(6)", "tensorflow": "tf.keras.layers.LayerNormalization(epsilon=1e-5)"}
    norm["keras"] = norm["tensorflow"].removeprefix("tf.")
    norm["flax"] = "flax.nnx.LayerNorm(6, epsilon=1e-5, rngs=rngs)"
    for name in ("TransformerEncoder", "TransformerDecoder", "Transformer"):
        text = text.replace(f"<{name}", f"{prefix}{name}")
    expression = ast.parse(text.replace("<norm", norm[framework]), mode="eval").body
    if framework == "flax":
        for call in ast.walk(expression):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
                call.keywords.append(ast.keyword("rngs", ast.Name("rngs", ast.Load())))
    made = evaluate(expression, with_supports(expression, framework, tool.names), {})
    return tool.build(made, lambda: None) if framework == "flax" else made


def transfer(source: Any, target: Any, framework: str, attributes: Mapping[str, Any]) -> None:
    """Copy every parameter of the layers below, path by path."""
    tools = backend("torch"), backend(framework)
    for path, module in source.named_modules():
        kind = type(module).__name__
        if kind in LAYERS:
            op = registry.get(LAYERS[kind])
            _copy(op, (module, at_path(target, path)), tools, framework, attributes)
        elif kind == "LayerNorm" and path.rpartition(".")[2] == "norm":
            scale, shift = ("scale", "bias") if framework == "flax" else ("gamma", "beta")
            tools[1].assign(getattr(at_path(target, path), scale), module.weight.detach().numpy())
            tools[1].assign(getattr(at_path(target, path), shift), module.bias.detach().numpy())


def _copy(op: Any, layers: Sequence[Any], tools: Sequence[Any], framework: str, attributes: Mapping[str, Any]) -> None:
    layouts = op.layouts(attributes)
    canonical: dict[str, Any] = {}
    for path, text in op.specs(op.spellings["torch"][0], attributes).items():
        array = tools[0].array(tools[0].parameter(layers[0], path))
        recipes = from_framework(path, Spec.parse(text), layouts, array.shape)
        canonical |= {name: recipe({path: array}) for name, recipe in recipes.items()}
    shapes = {name: array.shape for name, array in canonical.items()}
    for path, text in op.specs(op.spellings[framework][0], attributes).items():
        variable = tools[1].parameter(layers[1], path)
        tools[1].assign(variable, to_framework(Spec.parse(text), layouts, shapes, tuple(variable.shape))(canonical))


@pytest.mark.parametrize("framework", ["tensorflow", "keras", "flax"])
@pytest.mark.parametrize(
    ("text", "shapes", "masks", "options"),
    [
        (
            "<TransformerEncoder(<TransformerEncoderLayer(OPTIONS), 3, norm=<norm)",
            [(3, 4, 6)],
            {"src_key_padding_mask": PADDING},
            {"batch_first": True},
        ),
        (
            "<TransformerDecoder(<TransformerDecoderLayer(OPTIONS), 2)",
            [(5, 3, 6), (4, 3, 6)],
            {"tgt_mask": CAUSAL, "memory_key_padding_mask": PADDING},
            {"norm_first": True},
        ),
        (
            "<Transformer(num_encoder_layers=2, num_decoder_layers=1, OPTIONS)",
            [(4, 3, 6), (5, 3, 6)],
            {"tgt_mask": CAUSAL, "src_key_padding_mask": PADDING},
            {},
        ),
    ],
    ids=["encoder", "decoder", "network"],
)
def test_stack(
    framework: str, text: str, shapes: list[tuple[int, ...]], masks: dict[str, Any], options: dict[str, Any]
) -> None:
    attributes = {**SIZES, **options}
    text = text.replace("OPTIONS", ", ".join(f"{k}={v!r}" for k, v in attributes.items()))
    source, target = build("torch", text).double().eval(), build(framework, text)
    arrays = [np.random.default_rng(n).normal(size=shape) for n, shape in enumerate(shapes)]

    def run(name: str, layer: Any) -> list[Any]:
        tool = backend(name)
        results = layer(*map(tool.tensor, arrays), **{k: tool.tensor(m) for k, m in masks.items()})
        return [tool.array(r) for r in flat(results)]

    run(framework, target)
    transfer(source, target, framework, attributes)
    made = run("torch", source) + run(framework, target)
    np.testing.assert_allclose(made[1], made[0], rtol=1e-11, atol=1e-11)
    if framework != "flax":
        assert len(target.trainable_variables) >= len(list(source.parameters()))

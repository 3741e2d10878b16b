"""Ops that draw random tensors: frameworks agree on shape, type and distribution only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from netferry.ops.core import Conversion, OpDef, Spelling
from netferry.ops.forms import Maps, parameters, template, torch_inplace
from netferry.ops.registry import register

_OPTIONS = "layout=None, device=None, requires_grad=False"
_IGNORED = ("generator", "out", "layout", "device", "requires_grad", "memory_format", "pin_memory")
_FLOATX = "tf.keras.config.floatx()"


def _torch(name: str, signature: str, *, maps: Maps | None = None, **options: Any) -> Spelling:
    return Spelling(f"torch.{name}", parameters(signature, _OPTIONS), maps=maps or {}, ignore=_IGNORED, **options)


def _templates(prefix: str, call: str, default: str = "") -> list[Spelling]:
    """``call(…, dtype=…)`` with and without a type."""
    tail = f", dtype={default}" if default else ""
    return [
        template(f"{prefix}.{call}{tail})", when={"dtype": None}),
        template(f"{prefix}.{call}, dtype={{dtype}})"),
    ]


def _jax_templates(call: str, scaled: str = "{}") -> list[Spelling]:
    """A draw of JAX with a key of the generators that modules are handed, with and without a type."""
    return [
        template(scaled.format(f"jax.random.{call})"), when={"dtype": None}),
        template(scaled.format(f"jax.random.{call}, dtype={{dtype}})")),
    ]


def _keras_reads(name: str, rest: str, **options: Any) -> dict[str, list[Spelling]]:
    """The functions of that name in ``tf.random`` and ``keras.random``, only read; ``seed`` fixes nothing elsewhere."""
    options = {"ignore": ("seed", "name"), "write": False, **options}
    return {
        "tensorflow": [Spelling(f"tf.random.{name}", f"shape, {rest}, dtype=None, seed=None, name=None", **options)],
        "keras": [Spelling(f"keras.random.{name}", f"shape, {rest}, dtype=None, seed=None", **options)],
    }


_STANDARD_READS = {
    "normal": _keras_reads("normal", "mean=0.0, stddev=1.0", fixed={"mean": 0.0, "stddev": 1.0}),
    "uniform": {
        "tensorflow": _keras_reads("uniform", "minval=0, maxval=None", fixed={"minval": 0, "maxval": None})[
            "tensorflow"
        ],
        "keras": _keras_reads("uniform", "minval=0.0, maxval=1.0", fixed={"minval": 0.0, "maxval": 1.0})["keras"],
    },
}


def _register_standard() -> None:
    """randn and rand, alone and like another tensor."""
    for name, distribution, doc in (("randn", "normal", "standard normal"), ("rand", "uniform", "uniform in [0, 1)")):
        register(
            OpDef(
                name,
                "*, shape, dtype=None",
                f"Random numbers, {doc}.",
                layout="create",
                spellings={
                    "torch": [_torch(name, "*size, generator=None, out=None, dtype=None", maps={"size": "shape"})],
                    "tensorflow": [
                        *_templates("tf.random", f"{distribution}({{shape}}", _FLOATX),
                        *_STANDARD_READS[distribution]["tensorflow"],
                    ],
                    "keras": [
                        *_templates("keras.random", f"{distribution}({{shape}}"),
                        *_STANDARD_READS[distribution]["keras"],
                    ],
                    "flax": _jax_templates(f"{distribution}(rngs(), {{shape}}"),
                },
                stochastic=True,
            )
        )
        register(
            OpDef(
                f"{name}_like",
                "x, *, dtype=None",
                f"Random numbers, {doc}, in the shape and type of x.",
                layout="elementwise",
                spellings={
                    "torch": [_torch(f"{name}_like", "input, *, dtype=None, memory_format=None", maps={"input": "x"})],
                    "tensorflow": _templates("tf.random", f"{distribution}(tf.shape({{x}})", "{x}.dtype"),
                    "keras": _templates("keras.random", f"{distribution}(keras.ops.shape({{x}})", "{x}.dtype"),
                    "flax": _templates("jax.random", f"{distribution}(rngs(), {{x}}.shape", "{x}.dtype"),
                },
                stochastic=True,
            )
        )


_register_standard()
_NORMAL_READS = _keras_reads("normal", "mean=0.0, stddev=1.0", maps={"stddev": "std"})
_LIMITS = {"minval": "low", "maxval": "high"}
register(
    OpDef(
        "randint",
        "*, low=0, high, shape, dtype=None",
        "Random integers from low to high - 1.",
        layout="create",
        spellings={
            "torch": [
                _torch(
                    "randint",
                    "low, high, size, *, generator=None, out=None, dtype=None",
                    maps={"size": "shape"},
                    positional=3,
                ),
                _torch(
                    "randint",
                    "high, size, *, generator=None, out=None, dtype=None",
                    maps={"size": "shape"},
                    write=False,
                ),
            ],
            "tensorflow": _templates("tf.random", "uniform({shape}, {low}, {high}", "tf.int64"),
            "keras": _templates("keras.random", "randint({shape}, {low}, {high}"),
            "flax": _jax_templates("randint(rngs(), {shape}, {low}, {high}"),
        },
        stochastic=True,
    )
)
register(
    OpDef(
        "randperm",
        "*, n, dtype=None",
        "The numbers 0 … n - 1 in random order.",
        layout="none",
        spellings={
            "torch": [_torch("randperm", "n, *, generator=None, out=None, dtype=None")],
            "tensorflow": [template("tf.random.shuffle(tf.range({n}, dtype=tf.int64))")],
            "keras": [template("keras.random.shuffle(keras.ops.arange({n}))")],
            "flax": [template("jax.random.permutation(rngs(), {n})")],
        },
        stochastic=True,
    )
)
register(
    OpDef(
        "normal",
        "*, mean=0.0, std=1.0, shape, dtype=None",
        "Normally distributed random numbers.",
        layout="create",
        spellings={
            "torch": [
                _torch(
                    "normal",
                    "mean, std, size, *, generator=None, out=None, dtype=None",
                    maps={"size": "shape"},
                    positional=3,
                )
            ],
            "tensorflow": [
                *_templates("tf.random", "normal({shape}, {mean}, {std}", _FLOATX),
                *_NORMAL_READS["tensorflow"],
            ],
            "keras": [*_templates("keras.random", "normal({shape}, {mean}, {std}"), *_NORMAL_READS["keras"]],
            "flax": [
                *(
                    replace(plain, when={**plain.when, "mean": 0.0, "std": 1.0})
                    for plain in _jax_templates("normal(rngs(), {shape}")
                ),
                *(
                    replace(scaled, when={**scaled.when, "mean": 0.0})
                    for scaled in _jax_templates("normal(rngs(), {shape}", "{{std}} * {}")
                ),
                *_jax_templates("normal(rngs(), {shape}", "{{mean}} + {{std}} * {}"),
            ],
        },
        stochastic=True,
    )
)

register(
    OpDef(
        "uniform",
        "*, low=0.0, high=1.0, shape, dtype=None",
        "Uniformly distributed random numbers.",
        layout="create",
        spellings={
            "torch": [
                template("torch.empty({shape}).uniform_({low}, {high})", when={"dtype": None}),
                template("torch.empty({shape}, dtype={dtype}).uniform_({low}, {high})"),
            ],
            "tensorflow": [
                *_templates("tf.random", "uniform({shape}, {low}, {high}", _FLOATX),
                *_keras_reads("uniform", "minval, maxval", maps=_LIMITS)["tensorflow"],
            ],
            "keras": [
                *_templates("keras.random", "uniform({shape}, {low}, {high}"),
                *_keras_reads("uniform", "minval=0.0, maxval=1.0", maps=_LIMITS)["keras"],
            ],
            "flax": [
                *(
                    replace(plain, when={**plain.when, "low": 0.0, "high": 1.0})
                    for plain in _jax_templates("uniform(rngs(), {shape}")
                ),
                *_jax_templates("uniform(rngs(), {shape}, minval={low}, maxval={high}"),
            ],
        },
        stochastic=True,
    )
)
register(
    OpDef(
        "uniform_between",
        "low, high, *, shape",
        "Uniformly distributed random numbers between limits that are tensors.",
        layout="opaque",
        spellings={
            "torch": [template("{low} + ({high} - {low}) * torch.rand({shape})")],
            "flax": [template("jax.random.uniform(rngs(), {shape}, minval={low}, maxval={high})")],
            **{
                framework: [replace(read, kinds={"maxval": "tensor"}, ignore=("dtype", "seed", "name"))]
                for framework, (read,) in _keras_reads("uniform", "minval, maxval", maps=_LIMITS).items()
            },
        },
        stochastic=True,
    )
)
register(
    OpDef(
        "normal_like",
        "x, *, mean=0.0, std=1.0",
        "Normally distributed random numbers in the shape and type of x.",
        layout="elementwise",
        spellings={
            "torch": [torch_inplace("normal_", "mean=0.0, std=1.0, *, generator=None", ignore=("generator",))],
            "tensorflow": [template("tf.random.normal(tf.shape({x}), {mean}, {std}, dtype={x}.dtype)")],
            "keras": [template("keras.random.normal(keras.ops.shape({x}), {mean}, {std}, dtype={x}.dtype)")],
            "flax": [
                template("jax.random.normal(rngs(), {x}.shape, {x}.dtype)", when={"mean": 0.0, "std": 1.0}),
                template("{std} * jax.random.normal(rngs(), {x}.shape, {x}.dtype)", when={"mean": 0.0}),
                template("{mean} + {std} * jax.random.normal(rngs(), {x}.shape, {x}.dtype)"),
            ],
        },
        stochastic=True,
    )
)
register(
    OpDef(
        "uniform_like",
        "x, *, low=0.0, high=1.0",
        "Uniformly distributed random numbers in the shape and type of x.",
        layout="elementwise",
        spellings={
            "torch": [
                torch_inplace(
                    "uniform_",
                    "from_=0.0, to=1.0, *, generator=None",
                    ignore=("generator",),
                    maps={"from_": "low", "to": "high"},
                ),
            ],
            "tensorflow": [template("tf.random.uniform(tf.shape({x}), {low}, {high}, dtype={x}.dtype)")],
            "keras": [template("keras.random.uniform(keras.ops.shape({x}), {low}, {high}, dtype={x}.dtype)")],
            "flax": [template("jax.random.uniform(rngs(), {x}.shape, {x}.dtype, {low}, {high})")],
        },
        stochastic=True,
    )
)


def _draw(uniform: str, probability: str) -> str:
    return f"cast({uniform} < {probability}, {{x}}.dtype)"


register(
    OpDef(
        "bernoulli",
        "x",
        "1 with the probability given by each element of x, else 0.",
        layout="elementwise",
        spellings={
            "torch": [
                Spelling(
                    "torch.bernoulli",
                    "input, *, generator=None, out=None",
                    maps={"input": "x"},
                    ignore=("generator", "out"),
                )
            ],
            "tensorflow": [template("tf." + _draw("tf.random.uniform(tf.shape({x}), dtype={x}.dtype)", "{x}"))],
            "keras": [
                template("keras.ops." + _draw("keras.random.uniform(keras.ops.shape({x}), dtype={x}.dtype)", "{x}"))
            ],
            "flax": [template("jax.random.bernoulli(rngs(), {x}).astype({x}.dtype)")],
        },
        stochastic=True,
    )
)
register(
    OpDef(
        "bernoulli_like",
        "x, *, p=0.5",
        "1 with probability p, else 0, in the shape and type of x.",
        layout="elementwise",
        spellings={
            "torch": [torch_inplace("bernoulli_", "p=0.5, *, generator=None", ignore=("generator",))],
            "tensorflow": [template("tf." + _draw("tf.random.uniform(tf.shape({x}), dtype={x}.dtype)", "{p}"))],
            "keras": [
                template("keras.ops." + _draw("keras.random.uniform(keras.ops.shape({x}), dtype={x}.dtype)", "{p}"))
            ],
            "flax": [template("jax.random.bernoulli(rngs(), {p}, {x}.shape).astype({x}.dtype)")],
        },
        stochastic=True,
    )
)
register(
    OpDef(
        "multinomial",
        "x, *, num",
        "num indices drawn with replacement, with the probabilities in the last axis of a matrix.",
        layout="opaque",
        spellings={
            "torch": [
                Spelling(
                    "torch.multinomial",
                    "input, num_samples, replacement=False, *, generator=None, out=None",
                    maps={"input": "x", "num_samples": "num"},
                    fixed={"replacement": True},
                    ignore=("generator", "out"),
                    positional=2,
                ),
                # A single draw is the same with and without replacement.
                Spelling(
                    "torch.multinomial",
                    "input, num_samples, replacement=False, *, generator=None, out=None",
                    maps={"input": "x", "num_samples": Conversion("num", {1: 1}, {1: 1})},
                    ignore=("replacement", "generator", "out"),
                    write=False,
                ),
            ],
            "tensorflow": [template("tf.random.categorical(tf.math.log({x}), {num})")],
            "keras": [template("keras.random.categorical(keras.ops.log({x}), {num})")],
            "flax": [
                template("jax.random.categorical(rngs(), jax.numpy.log({x})[:, None], shape=({x}.shape[0], {num}))")
            ],
        },
        stochastic=True,
    )
)

"""Optimizers of training configurations, where each framework's steps are the same."""

from __future__ import annotations

from typing import Any

from netferry.ops.core import OpDef, Spelling
from netferry.ops.forms import template
from netferry.ops.layer_forms import on_keras
from netferry.ops.registry import register

_IGNORED = ("params", "foreach", "differentiable", "fused", "capturable")
_SWITCHES = "foreach=None, maximize=False, capturable=False, differentiable=False, fused=None"


def _torch(name: str, rest: str, **fixed: Any) -> Spelling:
    return Spelling(
        f"torch.optim.{name}",
        f"params, lr=0.001, {rest}",
        maps={"lr": "learning_rate", "eps": "epsilon"},
        fixed={"maximize": False, **fixed},
        ignore=_IGNORED,
    )


def _sgd(package: str) -> list[Spelling]:
    """Weight decay apart from the gradient is the same as in it only without momentum."""
    path, signature = f"{package}.optimizers.SGD", "learning_rate=0.01, momentum=0.0, nesterov=False"
    return [
        Spelling(path, signature, positional=0, when={"weight_decay": 0}),
        Spelling(
            path,
            f"{signature}, weight_decay=None",
            positional=0,
            fixed={"momentum": 0.0, "nesterov": False},
            when={"momentum": 0},
            read=False,
        ),
    ]


register(
    OpDef(
        "sgd",
        "*, learning_rate, momentum=0, nesterov=False, weight_decay=0",
        "Stochastic gradient descent.",
        layout="none",
        spellings={
            "torch": [
                _torch(
                    "SGD",
                    "momentum=0, dampening=0, weight_decay=0, nesterov=False, *, maximize=False, foreach=None, "
                    "differentiable=False, fused=None",
                    dampening=0,
                )
            ],
            **on_keras(_sgd),
        },
    )
)


def _adam(package: str, name: str, rest: str) -> list[Spelling]:
    path, default = f"{package}.optimizers.{name}", {"betas": (0.9, 0.999)}
    decay = ", weight_decay={weight_decay}" if rest else ""
    text = "learning_rate={learning_rate}, beta_1={betas}[0], beta_2={betas}[1], epsilon={epsilon}"
    first, _, last = f"learning_rate=0.001, {rest}beta_1=0.9, beta_2=0.999, epsilon=1e-07, amsgrad=False".partition(
        "beta_1=0.9, beta_2=0.999, "
    )
    kept = {"beta_1": 0.9, "beta_2": 0.999}
    return [
        Spelling(path, f"{first}beta_1=0.9, beta_2=0.999, {last}", positional=0, fixed=kept, when=default),
        template(f"{path}({text}{decay})", when={"amsgrad": False}),
        template(f"{path}({text}{decay}, amsgrad={{amsgrad}})"),
    ]


_ADAM = "betas=(0.9, 0.999), eps=1e-08"
register(
    OpDef(
        "adam",
        "*, learning_rate, betas=(0.9, 0.999), epsilon=1e-08, amsgrad=False",
        "Gradient descent with adaptive moments.",
        layout="none",
        spellings={
            "torch": [
                _torch(
                    "Adam",
                    f"{_ADAM}, weight_decay=0, amsgrad=False, *, {_SWITCHES}, decoupled_weight_decay=False",
                    weight_decay=0,
                    decoupled_weight_decay=False,
                )
            ],
            **on_keras(lambda package: _adam(package, "Adam", "")),
        },
    )
)
register(
    OpDef(
        "adamw",
        "*, learning_rate, betas=(0.9, 0.999), epsilon=1e-08, amsgrad=False, weight_decay=0.01",
        "Gradient descent with adaptive moments and decoupled weight decay.",
        layout="none",
        spellings={
            "torch": [
                _torch(
                    "AdamW",
                    f"{_ADAM}, weight_decay=0.01, amsgrad=False, *, maximize=False, foreach=None, capturable=False, "
                    "differentiable=False, fused=None",
                )
            ],
            **on_keras(lambda package: _adam(package, "AdamW", "weight_decay=0.004, ")),
        },
    )
)

"""Losses and distances, as layers (objects that are called with predictions and targets) and as functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from netferry.ops.core import Case, Ints, OpDef, Spelling
from netferry.ops.forms import Maps, template
from netferry.ops.registry import register
from netferry.ops.shared import keras_support, tensorflow_text

_OLD = {"size_average": None, "reduce": None}
"""Arguments that PyTorch replaced by ``reduction`` long ago."""
_REDUCE: Mapping[str, Callable[[Any], Any]] = {
    "mean": np.mean,
    "sum": np.sum,
    "none": lambda loss: loss,
    "batchmean": lambda loss: loss.sum() / len(loss),
}
_REDUCED = {
    "mean": "keras.ops.mean(LOSS)",
    "sum": "keras.ops.sum(LOSS)",
    "none": "LOSS",
    "batchmean": "keras.ops.sum(LOSS) / X.shape[0]",
}
_NOT_IN_TORCH = {"torch": "PyTorch takes the weight as a tensor, which a literal is not"}
_OPEN = np.array([[0.1, 0.7, 0.4], [0.95, 0.3, 0.55]])
_DISTRIBUTION = np.array([[0.2, 0.5, 0.3], [0.6, 0.0, 0.4]])

Formula = tuple[str, Mapping[str, Any]]


def _forms(text: str, operands: Sequence[str], **options: Any) -> dict[str, list[Spelling]]:
    """A formula with operands ``X`` and ``Y`` as a function and as a callable object, for both Keras targets."""
    found: dict[str, list[Spelling]] = {}
    for framework, made in (("tensorflow", tensorflow_text(text)), ("keras", text)):
        first, second = operands
        inline = made.replace("X", f"{{{first}}}").replace("Y", f"{{{second}}}")
        held = f"lambda {first}, {second}: " + made.replace("X", first).replace("Y", second)
        layer = Spelling("", template=held, call=f"{first}, {second}", layer=True, read=False, **options)
        found[framework] = [template(inline, **options), layer]
    return found


def _joined(parts: Sequence[Mapping[str, Sequence[Spelling]]]) -> dict[str, list[Spelling]]:
    return {framework: [s for part in parts for s in part[framework]] for framework in ("tensorflow", "keras")}


def _loss(
    name: str,
    layer: str,
    functional: str,
    elementwise: Callable[..., Any],
    formulas: Sequence[Formula],
    *,
    rest: str = "",
    layer_rest: str | None = None,
    signature: str = "",
    maps: Maps | None = None,
    fixed: Sequence[str] = (),
    reductions: Sequence[str] = ("mean", "sum", "none"),
    support: str = "",
    cases: Sequence[Case] = (),
) -> None:
    """Register a loss that is a formula of each pair of elements, reduced.

    ``rest`` and ``layer_rest`` are PyTorch's parameters behind input and target; ``fixed`` those that must be None.
    """
    nothing = _OLD | dict.fromkeys(fixed)
    parts = [
        _forms(
            _REDUCED[reduction].replace("LOSS", text),
            ("x", "target"),
            when={**when, "reduction": reduction},
            support=support,
        )
        for reduction in reductions
        for text, when in formulas
    ]

    def reference(x: Any, target: Any, *, reduction: str = "mean", **attributes: Any) -> Any:
        return _REDUCE[reduction](elementwise(x, target, **attributes))

    register(
        OpDef(
            name,
            "x, target, *, " + ", ".join(filter(None, (signature, "reduction='mean'"))),
            f"The loss {name}.",
            layout="elementwise",
            reference=reference,
            spellings={
                "torch": [
                    Spelling(
                        f"torch.nn.{layer}",
                        rest if layer_rest is None else layer_rest,
                        call="input, target",
                        layer=True,
                        maps={"input": "x", **(maps or {})},
                        fixed=nothing,
                    ),
                    Spelling(
                        f"torch.nn.functional.{functional}",
                        f"input, target, {rest}",
                        maps={"input": "x", **(maps or {})},
                        fixed=nothing,
                    ),
                ],
                **_joined(parts),
            },
            cases=cases or _pairs({}, {"reduction": "sum"}, {"reduction": "none"}),
        )
    )


def _pairs(*attributes: Mapping[str, Any], x: Any = (3, 4), target: Any = (3, 4), gradients: bool = True) -> list[Case]:
    return [Case({"x": x, "target": target}, given, gradients=gradients) for given in attributes]


def _weighed(*attributes: Mapping[str, Any], **operands: Any) -> list[Case]:
    """Weights that are numbers, with every reduction."""
    return [
        replace(case, gradients=False, skip=_NOT_IN_TORCH)
        for given in attributes
        for case in _pairs(given, {**given, "reduction": "sum"}, {**given, "reduction": "none"}, **operands)
    ]


_COMMON = "size_average=None, reduce=None, reduction='mean'"
_PLAIN: Formula = ("keras.ops.square(X - Y)", {})
_loss(
    "mse_loss",
    "MSELoss",
    "mse_loss",
    lambda x, target: (x - target) ** 2,
    [_PLAIN],
    rest=f"{_COMMON}, weight=None",
    layer_rest=_COMMON,
    fixed=("weight",),
)
_loss(
    "l1_loss",
    "L1Loss",
    "l1_loss",
    lambda x, target: np.abs(x - target),
    [("keras.ops.abs(X - Y)", {})],
    rest=f"{_COMMON}, weight=None",
    layer_rest=_COMMON,
    fixed=("weight",),
)


def _huber(x: Any, target: Any, delta: float = 1.0) -> Any:
    distance = np.abs(x - target)
    return np.where(distance < delta, 0.5 * distance**2, delta * (distance - 0.5 * delta))


keras_support(
    "huber",
    '''
def huber(x, target, delta=1.0):
    """Half the squared distance up to ``delta``, linear beyond."""
    distance = keras.ops.abs(x - target)
    return keras.ops.where(distance < delta, 0.5 * distance**2, delta * (distance - 0.5 * delta))
''',
)
_loss(
    "huber_loss",
    "HuberLoss",
    "huber_loss",
    _huber,
    [("huber(X, Y, {delta})", {})],
    rest="reduction='mean', delta=1.0, weight=None",
    layer_rest="reduction='mean', delta=1.0",
    signature="delta=1.0",
    fixed=("weight",),
    support="huber",
    cases=_pairs({}, {"delta": 0.6}, {"delta": 0.6, "reduction": "sum"}, {"reduction": "none"}),
)
_loss(
    "smooth_l1_loss",
    "SmoothL1Loss",
    "smooth_l1_loss",
    lambda x, target, beta=1.0: _huber(x, target, beta) / beta,
    [("huber(X, Y, {beta}) / {beta}", {})],
    rest=f"{_COMMON}, beta=1.0",
    signature="beta=1.0",
    support="huber",
    cases=_pairs({}, {"beta": 0.6}, {"beta": 0.6, "reduction": "sum"}, {"reduction": "none"}),
)
_loss(
    "binary_cross_entropy",
    "BCELoss",
    "binary_cross_entropy",
    lambda x, target, weight=None: (
        -(target * np.log(x) + (1 - target) * np.log(1 - x)) * (1 if weight is None else weight)
    ),
    [
        ("binary_cross_entropy(X, Y)", {"weight": None}),
        ("binary_cross_entropy(X, Y) * {weight}", {}),
    ],
    rest=f"weight=None, {_COMMON}",
    signature="weight=None",
    support="binary_cross_entropy",
    cases=_pairs({}, {"reduction": "sum"}, {"reduction": "none"}, x=_OPEN, target=1 - _OPEN[::-1])
    + _weighed({"weight": 0.3}, x=_OPEN, target=1 - _OPEN[::-1]),
)
keras_support(
    "binary_cross_entropy",
    '''
def binary_cross_entropy(x, target):
    """Cross entropy of probabilities with targets between 0 and 1; logarithms do not fall below -100."""
    likely = keras.ops.maximum(keras.ops.log(x), -100.0)
    unlikely = keras.ops.maximum(keras.ops.log(1.0 - x), -100.0)
    return -(target * likely + (1.0 - target) * unlikely)
''',
)


def _with_logits(x: Any, target: Any, weight: Any = None, pos_weight: Any = None) -> Any:
    slope = 1 if pos_weight is None else 1 + (pos_weight - 1) * target
    return ((1 - target) * x + slope * np.logaddexp(0, -x)) * (1 if weight is None else weight)


_LOGITS = "(1.0 - Y) * X + keras.ops.softplus(-X)"
_WEIGHED_LOGITS = "(1.0 - Y) * X + (1.0 + ({pos_weight} - 1.0) * Y) * keras.ops.softplus(-X)"
_loss(
    "binary_cross_entropy_with_logits",
    "BCEWithLogitsLoss",
    "binary_cross_entropy_with_logits",
    _with_logits,
    [
        (_LOGITS, {"weight": None, "pos_weight": None}),
        (_WEIGHED_LOGITS, {"weight": None}),
        (f"({_LOGITS}) * {{weight}}", {"pos_weight": None}),
        (f"({_WEIGHED_LOGITS}) * {{weight}}", {}),
    ],
    rest=f"weight=None, {_COMMON}, pos_weight=None",
    signature="weight=None, pos_weight=None",
    cases=_pairs({}, {"reduction": "sum"}, {"reduction": "none"}, target=_DISTRIBUTION[[0, 1, 0, 1]].T)
    + _weighed(
        {"weight": 0.3}, {"pos_weight": 2.5}, {"weight": 0.3, "pos_weight": 2.5}, target=_DISTRIBUTION[[0, 1, 0, 1]].T
    ),
)


def _kl_div(x: Any, target: Any, log_target: bool = False) -> Any:
    if log_target:
        return np.exp(target) * (target - x)
    return np.where(target > 0, target * (np.log(np.where(target > 0, target, 1)) - x), 0)


keras_support(
    "kl_divergence",
    '''
def kl_divergence(x, target):
    """Terms of the Kullback-Leibler divergence of log-probabilities from probabilities."""
    positive = target > 0
    logarithm = keras.ops.log(keras.ops.where(positive, target, keras.ops.ones_like(target)))
    return keras.ops.where(positive, target * (logarithm - x), keras.ops.zeros_like(target))
''',
)
_loss(
    "kl_div",
    "KLDivLoss",
    "kl_div",
    _kl_div,
    [
        ("kl_divergence(X, Y)", {"log_target": False}),
        ("keras.ops.exp(Y) * (Y - X)", {"log_target": True}),
    ],
    rest=f"{_COMMON}, log_target=False",
    signature="log_target=False",
    reductions=("mean", "sum", "none", "batchmean"),
    support="kl_divergence",
    cases=_pairs(
        *({"reduction": r} for r in ("sum", "none", "batchmean")), x=(2, 3), target=_DISTRIBUTION, gradients=False
    )
    + _pairs({"log_target": True}, *({"log_target": True, "reduction": r} for r in ("sum", "none", "batchmean"))),
)


def _likelihood(
    x: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Of log-probabilities, classes on axis 1 (0 without a batch)."""
    x = np.moveaxis(x, min(1, x.ndim - 1), -1)
    scale = np.ones(x.shape[-1]) if weight is None else np.asarray(weight)
    if target.ndim == x.ndim:
        wanted = np.moveaxis(target, min(1, x.ndim - 1), -1)
        size = np.ones(x.shape[:-1])
    else:
        kept = target != ignore_index
        wanted = np.eye(x.shape[-1])[np.where(kept, target, 0)] * kept[..., None]
        size = wanted @ scale
    smooth = wanted * (1 - label_smoothing) + label_smoothing / x.shape[-1] * (wanted.sum(-1, keepdims=True) > 0)
    loss = -(smooth * scale * x).sum(-1)
    return loss.sum() / size.sum() if reduction == "mean" else _REDUCE[reduction](loss)


def _cross_entropy(x: Any, target: Any, **attributes: Any) -> Any:
    axis = min(1, x.ndim - 1)
    return _likelihood(x - np.log(np.exp(x).sum(axis, keepdims=True)), target, **attributes)


keras_support(
    "log_likelihood_loss",
    '''
def log_likelihood_loss(x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """Negative log-likelihood of class indices or class probabilities; ``x`` holds log-probabilities, classes last."""
    classes = x.shape[-1]
    scale = keras.ops.ones(classes, dtype=x.dtype) if weight is None else keras.ops.convert_to_tensor(weight, dtype=x.dtype)
    if len(target.shape) == len(x.shape):
        wanted = target
        kept = keras.ops.ones_like(x[..., 0])
        size = kept
    else:
        wanted = keras.ops.one_hot(target, classes, dtype=x.dtype)
        kept = keras.ops.cast(target != ignore_index, x.dtype)
        size = kept * keras.ops.sum(wanted * scale, axis=-1)
    wanted = wanted * (1.0 - label_smoothing) + label_smoothing / classes
    loss = -kept * keras.ops.sum(wanted * scale * x, axis=-1)
    if reduction == "mean":
        return keras.ops.sum(loss) / keras.ops.sum(size)
    return keras.ops.sum(loss) if reduction == "sum" else loss
''',
)
_CLASSES = Ints((4,), 3)
_PIXELS = Ints((2, 4, 5), 3)
_WITH_GAPS = np.array([0, 2, -100, 1])


def _register_class_losses() -> None:
    """nll_loss and cross_entropy, which is the same of a log-softmax."""
    table: Sequence[tuple[str, str, Callable[..., Any], str, str]] = (
        ("nll_loss", "NLLLoss", _likelihood, "log_likelihood_loss(X, Y, {weight}, {ignore_index}, {reduction})", ""),
        (
            "cross_entropy",
            "CrossEntropyLoss",
            _cross_entropy,
            "log_likelihood_loss(keras.ops.log_softmax(X, axis=-1), Y, {weight}, {ignore_index}, {reduction}, {label_smoothing})",
            "label_smoothing=0.0",
        ),
    )
    for name, layer, reference, text, smoothing in table:
        rest = ", ".join(
            filter(
                None, ("weight=None, size_average=None, ignore_index=-100, reduce=None, reduction='mean'", smoothing)
            )
        )
        attributes = ", ".join(filter(None, ("weight=None, ignore_index=-100, reduction='mean'", smoothing)))
        short = "log_likelihood_loss(" + text.partition("(")[2].partition(", {weight}")[0] + ")"
        plain = {"weight": None, "ignore_index": -100, "reduction": "mean"} | (
            {"label_smoothing": 0.0} if smoothing else {}
        )
        given: list[dict[str, Any]] = [{}, {"reduction": "sum"}, {"ignore_index": 2}]
        if smoothing:
            given += [{"label_smoothing": 0.1}, {"label_smoothing": 0.2, "ignore_index": 1, "reduction": "none"}]
        cases = [
            *(Case({"x": (4, 3), "target": _CLASSES}, attributes) for attributes in given),
            Case({"x": (4, 3), "target": _WITH_GAPS}, {}),
            Case({"x": (2, 3, 4, 5), "target": _PIXELS}, {"ignore_index": 1}),
            Case({"x": (4, 3), "target": _CLASSES}, {"weight": (0.2, 1.5, 0.7)}, gradients=False, skip=_NOT_IN_TORCH),
        ]
        register(
            OpDef(
                name,
                f"x, target, *, {attributes}",
                f"The loss {name} of class indices or probabilities.",
                layout="channels",
                reference=reference,
                spellings={
                    "torch": [
                        Spelling(
                            f"torch.nn.{layer}", rest, call="input, target", layer=True, maps={"input": "x"}, fixed=_OLD
                        ),
                        Spelling(
                            f"torch.nn.functional.{name}", f"input, target, {rest}", maps={"input": "x"}, fixed=_OLD
                        ),
                    ],
                    **_joined(
                        [
                            _forms(short, ("x", "target"), when=plain, support="log_likelihood_loss"),
                            _forms(text, ("x", "target"), support="log_likelihood_loss"),
                        ]
                    ),
                },
                cases=cases
                + ([Case({"x": (2, 3), "target": _DISTRIBUTION}, {"label_smoothing": 0.1})] if smoothing else []),
            )
        )


_register_class_losses()
keras_support(
    "cosine_similarity",
    '''
def cosine_similarity(x, other, axis=1, epsilon=1e-8):
    """Cosine of the angle between vectors along an axis; their lengths count as ``epsilon`` at least."""
    lengths = [keras.ops.sqrt(keras.ops.sum(keras.ops.square(v), axis=axis)) for v in (x, other)]
    product = keras.ops.maximum(lengths[0], epsilon) * keras.ops.maximum(lengths[1], epsilon)
    return keras.ops.sum(x * other, axis=axis) / product
''',
)


def _cosine(x: Any, other: Any, axes: int = 1, epsilon: float = 1e-8) -> Any:
    lengths = [np.maximum(np.sqrt((v * v).sum(axes)), epsilon) for v in (x, other)]
    return (x * other).sum(axes) / (lengths[0] * lengths[1])


def _register_distances() -> None:
    maps = {"x1": "x", "x2": "other", "dim": "axes", "eps": "epsilon", "keepdim": "keepdims"}
    lengths = "keras.ops.norm(X - Y + {epsilon}, ord={p}, axis=-1, keepdims={keepdims})"
    table: Sequence[tuple[str, str, str, str, str, Callable[..., Any], str, str, Sequence[Mapping[str, Any]]]] = (
        (
            "cosine_similarity",
            "CosineSimilarity",
            "dim=1, eps=1e-08",
            "axes=1, epsilon=1e-08",
            "reduce",
            _cosine,
            "cosine_similarity(X, Y, {axes}, {epsilon})",
            "cosine_similarity",
            ({}, {"axes": -1}, {"axes": 0}),
        ),
        (
            "pairwise_distance",
            "PairwiseDistance",
            "p=2.0, eps=1e-06, keepdim=False",
            "p=2.0, epsilon=1e-06, keepdims=False",
            "opaque",
            lambda x, other, p=2.0, epsilon=1e-6, keepdims=False: np.linalg.norm(
                x - other + epsilon, ord=p, axis=-1, keepdims=keepdims
            ),
            lengths,
            "",
            ({}, {"p": 1.0}, {"epsilon": 0.1, "keepdims": True}),
        ),
    )
    for name, layer, rest, signature, layout, reference, text, support, cases in table:
        register(
            OpDef(
                name,
                f"x, other, *, {signature}",
                f"{name} of pairs of vectors.",
                layout=layout,
                reference=reference,
                spellings={
                    "torch": [
                        Spelling(f"torch.nn.{layer}", rest, call="x1, x2", layer=True, maps=maps),
                        Spelling(f"torch.nn.functional.{name}", f"x1, x2, {rest}", maps=maps),
                        *([Spelling(f"torch.{name}", f"x1, x2, {rest}", maps=maps, write=False)]),
                    ],
                    **_forms(text, ("x", "other"), support=support),
                },
                cases=[Case({"x": (4, 3), "other": (4, 3)}, attributes) for attributes in cases],
            )
        )


_register_distances()

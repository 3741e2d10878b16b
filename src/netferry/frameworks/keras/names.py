"""Import aliases of generated Keras and TensorFlow files, and names that Keras layers keep for themselves."""

from __future__ import annotations

import re
from typing import Final

RESERVED: Final = frozenset({
    "_api_export_path", "_auto_config", "_build_at_init", "_build_shapes_dict", "_call_signature", "_called",
    "_dtype_policy", "_flatten_layers", "_inbound_nodes", "_input_spec", "_layers", "_lock", "_loss_ids", "_losses",
    "_losses_override", "_maybe_build", "_metrics", "_non_trainable_variables", "_obj_type", "_outbound_nodes",
    "_parent_path", "_path", "_remat_mode", "_seed_generators", "_supports_masking", "_tracked", "_tracker",
    "_trainable", "_trainable_variables", "_update_uid", "call_signature_parameters",
    "activity_regularizer", "add_loss", "add_metric", "add_variable", "add_weight", "autocast", "build", "build_from_config", "built",
    "call", "compute_dtype", "compute_mask", "compute_output_shape", "compute_output_spec", "count_params", "dtype",
    "dtype_policy", "from_config", "get_build_config", "get_config", "get_weights", "input", "input_dtype", "input_spec",
    "load_own_variables", "losses", "metrics", "metrics_variables", "name", "non_trainable_variables",
    "non_trainable_weights", "output", "path", "quantization_mode", "quantize", "quantized_build", "quantized_call",
    "rematerialized_call", "save_own_variables", "set_weights", "stateless_call", "supports_jit", "supports_masking",
    "symbolic_call", "trainable", "trainable_variables", "trainable_weights", "variable_dtype", "variables", "weights",
})  # fmt: skip
"""Attributes of ``keras.layers.Layer`` that a network's own attribute must not replace."""

MODEL_RESERVED: Final = RESERVED | frozenset({
    "_compile_loss", "_compile_metrics", "_compute_loss", "_distribute_strategy", "_initial_epoch", "_jit_compile",
    "_loss_tracker", "_run_eagerly", "compiled_loss", "compiled_metrics", "distribute_reduction_method",
    "distribute_strategy", "get_state_tree", "set_state_tree", "stateless_compute_loss", "steps_per_execution",
    "unrolled_steps_per_execution", "compile", "compile_from_config", "compile_loss", "compile_metrics", "compiled", "compute_loss", "compute_metrics",
    "evaluate", "export", "fit", "get_compile_config", "get_layer", "get_metrics_result", "jit_compile", "layers",
    "load_weights", "loss", "make_predict_function", "make_test_function", "make_train_function", "metrics_names",
    "optimizer", "predict", "predict_function", "predict_on_batch", "predict_step", "reset_metrics", "run_eagerly",
    "save", "save_weights", "stop_training", "summary", "test_function", "test_on_batch", "test_step", "to_json",
    "train_function", "train_on_batch", "train_step",
})  # fmt: skip
"""The same for ``keras.Model``."""

_ALIASES: Final = {
    "tensorflow": (
        ("tf.keras.layers.", "layers.", "from tensorflow.keras import layers"),
        ("tf.keras.", "keras.", "from tensorflow import keras"),
        ("tf.", "tf.", "import tensorflow as tf"),
        ("np.", "np.", "import numpy as np"),
    ),
    "keras": (
        ("keras.layers.", "layers.", "from keras import layers"),
        ("keras.ops.", "ops.", "from keras import ops"),
        ("keras.", "keras.", "import keras"),
        ("np.", "np.", "import numpy as np"),
    ),
}


def snake_case(name: str) -> str:
    """The name of a class as Keras makes layer names of it: ``DenseLayer`` gives ``dense_layer``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def shorten(text: str, framework: str, taken: set[str]) -> tuple[str, list[str]]:
    """Replace full dotted names by the usual short ones where the short name is free; and the imports they need."""
    imports: list[str] = []
    for full, short, line in _ALIASES[framework]:
        pattern = re.compile(rf"(?<![\w.'\"`/]){re.escape(full)}(?=\w)")
        alias = short.rstrip(".")
        if short != full and alias in taken:
            continue
        text, count = pattern.subn(short, text)
        if count or (short == full and pattern.search(text)):
            imports.append(line)
    return text, imports

"""Ops that list positions in a matrix."""

from __future__ import annotations

import numpy as np

from netferry.ops.core import Case, OpDef, Spelling
from netferry.ops.forms import template
from netferry.ops.registry import register


def _register_triangles() -> None:
    """tril_indices and triu_indices."""
    for name in ("tril_indices", "triu_indices"):
        np_function = getattr(np, name)
        positions = f"np.stack(np.{name}({{rows}}, {{offset}}, {{columns}}))"
        register(
            OpDef(
                name,
                "*, rows, columns, offset=0",
                "Row and column numbers of one triangle of a matrix, as two rows.",
                layout="none",
                reference=lambda rows, columns, offset=0, f=np_function: np.stack(f(rows, offset, columns)),
                spellings={
                    "torch": [
                        Spelling(
                            f"torch.{name}",
                            "row, col, offset=0, *, dtype=None, layout=None, device=None",
                            maps={"row": "rows", "col": "columns"},
                            ignore=("dtype", "layout", "device"),
                            positional=2,
                        )
                    ],
                    "tensorflow": [template(f"tf.constant({positions})")],
                    "keras": [template(f"keras.ops.convert_to_tensor({positions})")],
                },
                cases=[
                    Case({}, {"rows": 3, "columns": 4}, gradients=False),
                    Case({}, {"rows": 4, "columns": 3, "offset": -1}, gradients=False),
                ],
            )
        )


_register_triangles()

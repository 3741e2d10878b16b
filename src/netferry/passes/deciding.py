"""Branches on the sizes of tensors that decide which layers there are: said in the words of the constructor.

``if residual.shape != y.shape: residual = Conv(...)(residual)`` becomes ``if in_channels != features or strides != (1, 1)``
where the layer is made, as far as that tells the runs apart.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from netferry.passes.provenance import runner
from netferry.pivot.copying import copied
from netferry.pivot.nodes import Op, constant
from netferry.walking import walk

_fresh = count(1 << 50)


@dataclass
class Runs:
    """The calls of a method, by number: a chain of one of the layers that each made."""

    recording: Any
    chains: dict[int, Any]

    @classmethod
    def of(cls, recording: Any, tree: ast.AST) -> Runs:
        """The runs of a method whose layers are in ``tree``."""
        sites = {getattr(n, "nf_id", -1) for n in walk(tree)}
        found: dict[int, Any] = {}
        for identity, site in [*recording.constructed.items(), *recording.instantiated.items()]:
            chain = recording.chains.get(identity, ())
            if site in sites and (at := runner(chain)) >= 0:
                found.setdefault(chain[at].serial, chain)
        return cls(recording, dict(sorted(found.items())))

    def making(self, statements: Sequence[ast.stmt]) -> set[int]:
        """The runs that made the layers of some statements."""
        return set(Runs.of(self.recording, ast.Module(list(statements), [])).chains)

    def condition(self, test: ast.expr, took: set[int], names: Collection[str]) -> ast.expr | None:
        """What was true of the runs in ``took`` alone, in terms of arguments and of sizes of tensors."""
        differing, sides = self._sizes(test)
        if differing - took:
            return None
        missing = took - differing
        parts: list[ast.expr] = [ast.Compare(sides[0], [ast.NotEq()], [sides[1]])] if differing and sides else []
        if missing:
            atom = self._field(missing, set(self.chains) - took, names)
            if atom is None:
                return None
            parts.append(atom)
        if not parts:
            return None
        return parts[0] if len(parts) == 1 else ast.BoolOp(ast.Or(), parts)

    def _sizes(self, test: ast.expr) -> tuple[set[int], list[ast.expr]]:
        """The runs in which the last sizes of two tensors differed, and these sizes as expressions."""
        match test:
            case ast.Compare(left=left, ops=[ast.NotEq()], comparators=[right]):
                pass
            case _:
                return set(), []
        shapes = [_shape(side) for side in (left, right)]
        values = [self.recording.values.get(getattr(s, "nf_id", -1), []) for s in shapes]
        if None in shapes or any(len(v) < len(self.chains) for v in values) or not all(map(_are_shapes, values)):
            return set(), []
        pairs = zip(self.chains, *values, strict=False)
        differing = {run for run, one, other in pairs if one[-1] != other[-1]}
        return differing, [self._last(s, v) for s, v in zip(shapes, values, strict=True) if s is not None]

    def _last(self, shape: Op, values: Sequence[Any]) -> ast.expr:
        """The last size of a tensor, with what was seen of it."""
        number = next(_fresh)
        made = ast.Subscript(copied(shape), ast.Constant(-1), ast.Load())
        made.nf_id = number  # type: ignore[attr-defined]
        made.nf_sized = True  # type: ignore[attr-defined]
        chains = list(self.chains.values())
        self.recording.values[number] = [v[-1] for v in values[: len(chains)]]
        self.recording.within[number] = [(*c[:-1], replace(c[-1], node=number, serial=0)) for c in chains]
        return made

    def _field(self, yes: set[int], no: set[int], names: Collection[str]) -> ast.expr | None:
        """An argument that was the same in all runs of ``no``, and something else in all of ``yes``."""
        fields = self.recording.fields
        known = [n for n in names if all(n in fields.get(run, {}) for run in yes | no)]
        for name in sorted(known, key=lambda n: ("stride" not in n, n)):
            usual = [fields[run][name] for run in no]
            if usual and all(v == usual[0] for v in usual) and all(fields[run][name] != usual[0] for run in yes):
                return ast.Compare(ast.Name(name, ast.Load()), [ast.NotEq()], [constant(usual[0])])
        return None


def _shape(node: ast.expr) -> Op | None:
    """The shape that an expression is, or takes a part of."""
    node = node.value if isinstance(node, ast.Subscript) else node
    return node if isinstance(node, Op) and node.name == "shape" else None


def _are_shapes(values: Sequence[Any]) -> bool:
    return all(isinstance(v, tuple) and v for v in values)

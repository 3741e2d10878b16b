"""Comparing two implementations given as source files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from netferry.diagnostics import failure


def verify(
    source: str | Path, target: str | Path, *, weight_map: str | Path | None = None, call: str | None = None,
    inputs: Sequence[Any] | None = None, layout: str = "native", progress: Callable[[str], None] | None = None,
) -> Any:  # fmt: skip
    """Equivalence of two implementations, with the first diverging layer named.

    Without a map, the one is used that a migration of the source would write.
    """
    from netferry.frameworks import catalog
    from netferry.migration import migrate
    from netferry.project import load
    from netferry.verify.compare import Layouts
    from netferry.verify.equivalence import verify as compare
    from netferry.verify.measure import Network
    from netferry.verify.migration import arguments, second_arguments, source_factory
    from netferry.weights.map import WeightMap

    say = progress or (lambda _: None)
    other = load(target)
    framework = catalog.target_of(other)
    say("reading the source")
    migration = migrate(source, to=framework, call=call, inputs=inputs, layout=layout, verify=False, progress=say)
    found = WeightMap.load(weight_map) if weight_map else migration.weight_map
    namespace: dict[str, Any] = {"__name__": other.main.module}
    try:
        exec(compile(other.main.text, str(other.main.path), "exec"), namespace)  # noqa: S102 - the user's own file
    except Exception as error:
        raise failure("NF052", f"{other.main.path.name} cannot be loaded: {error}", file=other.main.path) from error
    build = migration.written.call
    reading = migration.reading
    say("comparing")
    return compare(
        Network(catalog.get(reading.framework).runtime(reading=True), source_factory(reading)),
        Network(catalog.get(framework).runtime(), lambda: eval(build, namespace)),  # noqa: S307 - the user's own file
        found, arguments(reading), second_arguments(reading), Layouts(migration.input_orders, migration.output_orders),
    )  # fmt: skip

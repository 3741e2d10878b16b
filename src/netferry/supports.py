"""The small definitions that a generated file carries, under names that its own do not have."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace

from netferry.ops import registry
from netferry.ops.core import Spelling


class Supports:
    """Collects the definitions that are needed; those whose name is taken get another."""

    def __init__(self, framework: str, taken: Collection[str]) -> None:
        self.framework = framework
        self.names: dict[str, str] = {}
        """Definition -> its name in the file, in the order in which they are written."""
        self._taken = set(taken)

    def need(self, name: str) -> None:
        """Note that the file must carry a definition, and those it needs in turn."""
        for required in registry.support(name).needs(self.framework):
            self.need(required)
        if name not in self.names:
            own = name
            while own in self._taken:
                own += "_"
            self.names[name] = own

    def apply(self, spelling: Spelling) -> Spelling:
        """A spelling with its definition under the name that it has in the file; notes that it is needed."""
        if not spelling.support:
            return spelling
        self.need(spelling.support)
        if self.names[spelling.support] == spelling.support:
            return spelling
        return replace(spelling, path=self._renamed(spelling.path), template=self._renamed(spelling.template))

    def code(self) -> list[str]:
        """The definitions needed."""
        return [self._renamed(registry.support(name).code[self.framework].strip()) for name in self.names]

    def _renamed(self, text: str) -> str:
        for name, own in self.names.items():
            if name != own:
                text = re.sub(rf"(?<![\w.\"'`]){re.escape(name)}\b", own, text)
        return text

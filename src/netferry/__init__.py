"""netferry migrates neural-network source code between deep-learning frameworks."""

from __future__ import annotations

from netferry.diagnostics import Diagnostic, NetferryError
from netferry.migration import Migration, check, inspect, migrate
from netferry.verify.files import verify

__version__ = "0.1.0"

__all__ = ["Diagnostic", "Migration", "NetferryError", "__version__", "check", "inspect", "migrate", "verify"]

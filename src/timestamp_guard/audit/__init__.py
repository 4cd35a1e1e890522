"""
Finds the places in an app's code that write a row and forget when it was changed: :func:`audit`.
"""

from __future__ import annotations

from .findings import RULES, Audit, Finding, Problem, Site
from .run import audit
from .settings import Ignored, Settings

__all__ = ["RULES", "Audit", "Finding", "Ignored", "Problem", "Settings", "Site", "audit"]

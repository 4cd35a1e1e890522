"""
What a constraint, trigger or function of ours is called.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ...base import Wanted
from .table import ServedTable

__all__ = ["name_for"]


def name_for(table: ServedTable[Any], kind: str, wanted: Wanted) -> str:
    """A name for what means this, and for nothing else: at most 63 bytes, as many as PostgreSQL takes."""
    meant = [table.schema, table.name, kind, str(wanted.guard), {k: repr(e) for k, e in wanted.encodings.items()}]
    if kind == "gate":
        meant.append(str(wanted.repair))
    return f"timestamp_guard_{kind}_{hashlib.sha256(json.dumps(meant, sort_keys=True).encode()).hexdigest()[:12]}"

"""
What `plan` and `backfill` share: the tables for which it is said what to fill from.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..engine.plan import job_for
from ..errors import UsageError
from ..repairs import Repair
from ._output import tell
from ._targets import Target

__all__ = ["mendable"]


def mendable(found: Sequence[Target]) -> list[tuple[Target, Repair]]:
    """
    The tables that can be mended, each with its repair; others are left out, and told of.

    Raises:
        UsageError: there is none, or a candidate is not there.
    """
    able = []
    for target in found:
        repair = target.table.repair
        if repair is None:
            if len(found) > 1:
                tell(f"{target.label} is left out: nothing is said of what to fill {target.table.updated} from")
            continue
        job_for(target.store, target.table.guard, repair, 0)
        able.append((target, repair))
    if found and not able:
        field = found[0].table.updated
        msg = (
            f"what may {field} be filled from? Say --fill FIELD (or --fill now) with a URL, "
            f'or fill = ["FIELD"] in the configuration file'
        )
        raise UsageError(msg)
    return able

"""
Points between two durable steps, where tests stop the world.

`reach` does nothing unless a test has set `hook`: the kill matrix ends or freezes the process there.
"""

from __future__ import annotations

from collections.abc import Callable

POINTS: list[str] = []
"""The names of all points, in the order of their modules."""

hook: Callable[[str], None] | None = None


def point(name: str) -> str:
    """Declare a point, so that the kill matrix cannot miss one."""
    POINTS.append(name)
    return name


def reach(name: str) -> None:
    """Pass a point."""
    if hook is not None:
        hook(name)

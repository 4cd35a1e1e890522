"""
Which files an audit reads: the code of an app, without what is generated, and told apart from its tests.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from ..convex.generate import is_ours
from ..convex.typescript import SUFFIXES

__all__ = ["files", "is_test"]

_LEFT_OUT: Final = {"_generated", "node_modules"}
_TEST_NAME: Final = re.compile(
    r"(^|/)(__tests__|__mocks__|__fixtures__|mocks)/|\.(test|spec|mock|stories)\.[cm]?[jt]sx?$|\.d\.[cm]?ts$"
)
_TEST_IMPORT: Final = re.compile(
    rb"""(?:from|import|require\()\s*["'](?:vitest|convex-test|@jest/globals|jest|bun:test|node:test|@testing-library/)"""
)


def files(root: Path) -> list[Path]:
    """The files with code in a folder, sorted; links to folders are not followed."""
    found: list[Path] = []
    for folder, below, names in os.walk(root):
        below[:] = sorted(each for each in below if each not in _LEFT_OUT and not each.startswith("."))
        paths = (Path(folder, name) for name in names if name.endswith(SUFFIXES) and not name.startswith("."))
        found += (each for each in paths if each.is_file() and not _is_generated(each))
    return sorted(found)


def _is_generated(path: Path) -> bool:
    """Whether a file begins as the module does that `convex init` writes, wherever it lies and whoever formatted it."""
    try:
        with path.open("rb") as file:
            beginning = file.read(200)
    except OSError:
        return False  # whoever reads it says why it cannot be read
    return is_ours(beginning.decode("utf-8", "replace").removeprefix("\ufeff")) is not False


def is_test(name: str, source: bytes) -> bool:
    """Whether a file is a test, a mock or types only, by its name or by what it imports."""
    return _TEST_NAME.search(name) is not None or _TEST_IMPORT.search(source) is not None

"""The example of a whole migration, `examples/convex`: it goes from end to end, and what comes of it compiles."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .node import node, packages, project

HERE = Path(__file__).parent.parent / "examples" / "convex"


def migrate(*words: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, HERE / "migrate.py", *words], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_account(tmp_path: Path) -> None:
    """
    The script finds the faults, fills the snapshot, narrows the schema, ends with a clean audit, and can go back.
    """
    assert (HERE / "account.txt").read_text("utf-8") == migrate(cwd=tmp_path)
    assert [] == list(tmp_path.iterdir()), "without a folder, nothing stays behind"


def test_result_compiles(tmp_path: Path) -> None:
    """
    The app that comes of it, with what `convex init` wrote, is sound for a strict compiler; it is what the example shows.
    """
    folder = project(tmp_path / "app")
    migrate(folder, cwd=tmp_path)

    node(packages() / "node_modules/typescript/bin/tsc", "-p", "convex", cwd=folder)

    after = {path.name: path.read_text("utf-8") for path in (HERE / "after/convex").iterdir()}
    assert after == {name: (folder / "convex" / name).read_text("utf-8") for name in after}

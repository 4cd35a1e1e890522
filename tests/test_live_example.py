"""
The live example does what it says, on a small table.
"""

import os
import subprocess
import sys
from pathlib import Path

from tests import servers

SCRIPT = Path(__file__).parents[1] / "examples" / "live_postgresql.py"


def test_beside_writers() -> None:
    """
    Forth and back beside two writers, it checks by itself that nothing of theirs is lost, and leaves nothing behind.
    """
    with servers.database(servers.postgresql(15)) as url:
        done = subprocess.run(
            [sys.executable, SCRIPT, "3000"], env={**os.environ, "DATABASE_URL": url}, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        schemas = servers.sql(url, "SELECT 1 FROM pg_namespace WHERE nspname = 'live_example'")

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "migration 1, complete" in done.stdout
    assert "back: the" in done.stdout
    assert [] == schemas

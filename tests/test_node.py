"""
Tests that want Node.js say what they lack, and what to do about it.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from _pytest.outcomes import Failed, Skipped

from . import node


class TestPackages:
    def test_skipped(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Without Node.js, a test is skipped, and the reason names the remedy.
        """
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("TIMESTAMP_GUARD_REQUIRE", raising=False)

        with pytest.raises(Skipped, match="needs Node.js 20 or later and npm: https://nodejs.org, or apt-get install"):
            node.packages.__wrapped__()

    def test_required(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Where Node.js is required, a test fails instead.
        """
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setenv("TIMESTAMP_GUARD_REQUIRE", "postgresql,node")

        with pytest.raises(Failed, match="needs Node.js"):
            node.packages.__wrapped__()

    def test_exact(self, tmp_path: Path) -> None:
        """
        What can be imported from a project is what package.json says, version by version.
        """
        wanted = json.loads((node.APP / "package.json").read_text("utf-8"))["dependencies"]
        modules = node.project(tmp_path / "app") / "node_modules"

        assert wanted == {
            name: json.loads((modules / name / "package.json").read_text("utf-8"))["version"] for name in wanted
        }

    def test_no_host(self) -> None:
        """
        The lock file has the sum of every package, and names no host to get it from.
        """
        locked = json.loads((node.APP / "package-lock.json").read_text("utf-8"))["packages"]
        packages = {name: each for name, each in locked.items() if name}

        assert [] == [name for name, each in packages.items() if "resolved" in each or "integrity" not in each]

    def test_failure(self, tmp_path: Path) -> None:
        """
        A program that fails, fails the test with what it said.
        """
        with pytest.raises(AssertionError, match="it went wrong"):
            node.node("-e", "throw new Error('it went wrong')", cwd=tmp_path)

"""
Node.js and the packages of `convex_app/package.json` for tests, installed once for a machine; else the test is skipped.

`packages()` is the folder in which they are, `project(folder)` makes a folder from which they can be imported,
`node(...)` runs a program of theirs. Nothing of the packages is in this repository.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .servers import missing

APP: Final = Path(__file__).parent / "convex_app"
_INSTALLED_FROM: Final = ("package.json", "package-lock.json", ".npmrc")
_SECONDS: Final = 600


@functools.cache
def packages() -> Path:
    """The folder that has `node_modules`, the same for every process of this machine, as long as the lock file is."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if program is None or npm is None:
        missing("node", "needs Node.js 20 or later and npm: https://nodejs.org, or apt-get install nodejs npm")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").partition(".")[0]) < 20:
        missing("node", f"needs Node.js 20 or later, and {program} is {version}")
    said = hashlib.sha256()
    for name in _INSTALLED_FROM:
        said.update((APP / name).read_bytes())
    folder = _cache() / f"convex-app-{said.hexdigest()[:16]}-node{version}"
    with _alone(folder.with_name(f"{folder.name}.lock")):
        if not folder.is_dir():
            _install(npm, folder)
    return folder


def project(folder: Path) -> Path:
    """Make a *folder* from which the packages can be imported, as if they were installed in it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "node_modules").symlink_to(packages() / "node_modules", target_is_directory=True)
    (folder / "package.json").write_text('{"private": true, "type": "module"}\n')
    return folder


def node(*arguments: str | Path, cwd: Path, stdin: str = "", env: dict[str, str] | None = None) -> str:
    """
    Run Node.js, and give what it printed.

    A program of a package is `packages() / "node_modules/.bin/tsc"`.

    Raises:
        AssertionError: it failed; with all that it said.
    """
    packages()
    done = subprocess.run(
        ["node", *arguments],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        env={**os.environ, **(env or {})},
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def _install(npm: str, folder: Path) -> None:
    # Under another name at first, so that whoever finds the folder finds all of it.
    made = folder.with_name(f"{folder.name}-unfinished")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    for name in _INSTALLED_FROM:
        shutil.copy(APP / name, made)
    done = subprocess.run([npm, "ci"], cwd=made, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode:
        missing("node", f"npm ci failed for {APP / 'package.json'}: is a registry reachable? {done.stderr[-500:]}")
    made.rename(folder)


def _cache() -> Path:
    """A folder that outlives the tests."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "timestamp-guard-tests"
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError:
        home = Path(tempfile.gettempdir(), f"timestamp-guard-tests-{os.getuid()}")
        home.mkdir(parents=True, exist_ok=True)
    return home


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other processes of the tests waiting."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

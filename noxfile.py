# /// script
# requires-python = ">=3.11"
# dependencies = ["nox>=2026.2", "uv"]
# ///
"""
The only command to know: `python -m pip install nox && python -m nox`.

`nox` runs the default sessions, `nox -s kill` one of the others, `nox -l` lists them.
What comes after `--` goes to the tool: `nox -s tests-3.11 -- -k resolution`.
"""

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import nox

PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PYPROJECT, max_version="3.15")

nox.needs_version = ">=2026.2"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.error_on_external_run = True
nox.options.error_on_missing_interpreters = False  # also where CI is set: those found are tested
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "imports", "tests", "docs", "package"]

# pyenv puts only the chosen Pythons on the PATH; its others are as good for a test.
PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
os.environ["PATH"] = os.pathsep.join([*map(str, sorted(PYENV.glob("versions/3.*/bin"))), os.environ["PATH"]])

# All tests run on the newest Python that is here: from 3.12 on it tells which lines ran at no cost.
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
MEASURED = next((version for version in reversed(PYTHONS) if shutil.which(f"python{version}")), RUNNING)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: rules and format."""
    install(session, "lint", package=False)

    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Mypy, strict."""
    install(session, "types")

    session.run("mypy", *session.posargs)


@nox.session
def imports(session: nox.Session) -> None:
    """Imports point one way."""
    install(session, "imports")

    session.run("lint-imports", *session.posargs)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The tests and the examples of the documentation, on every Python found; on the newest of them, all."""
    install(session, "test")
    pytest = ("pytest", "-n", "2", *session.posargs)

    if session.posargs:
        session.run(*pytest)
        return
    if session.python != MEASURED:
        # What a server does with SQL, and what is left by who is killed, is the same for every Python; that its driver
        # works is seen in the tests that stay. Where Pythons differ, they differ in the first examples too.
        session.run(
            *pytest,
            *(
                f"--ignore-glob=*/test_{kind}*"
                for kind in (
                    "postgresql",
                    "mariadb",
                    "served",
                    "shared",
                    "kill",
                    "enforce_postgresql",
                    "enforce_mariadb",
                    "convex_generated",
                )
            ),
            env={"HYPOTHESIS_PROFILE": "brief"},
        )
        return

    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", *pytest)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation, warnings are errors."""
    install(session, "docs")

    session.run("sphinx-build", "-WE", "--keep-going", "docs", "docs/_build", *session.posargs)


@nox.session
def package(session: nox.Session) -> None:
    """What a user installs: the wheel alone, README's first example, then the demo."""
    session.install("build", "virtualenv")

    with tempfile.TemporaryDirectory() as folder:
        dist, user, empty = (Path(folder, name) for name in ("dist", "user", "empty"))
        session.run("python", "-m", "build", "--outdir", dist)
        session.run("python", "-m", "virtualenv", "--quiet", user)
        (wheel,) = dist.glob("*.whl")
        example = dist / "example.py"
        example.write_text(readme_example(), encoding="utf-8")
        empty.mkdir()

        session.chdir(empty)
        scripts = user / ("Scripts" if os.name == "nt" else "bin")
        for command in (
            ("python", "-m", "pip", "install", "--quiet", wheel),
            ("python", "-c", "import timestamp_guard"),
            ("python", example),
            ("python", "-m", "pip", "install", "--quiet", f"{wheel}[cli]"),
            ("timestamp-guard", "demo"),
        ):
            session.run(scripts / command[0], *command[1:], external=True)


@nox.session(default=False)
def fuzz(session: nox.Session) -> None:
    """Search longer for what the tests would miss."""
    install(session, "test")

    session.run("pytest", "-m", "fuzz", *session.posargs, env={"HYPOTHESIS_PROFILE": "fuzz"})


@nox.session(default=False)
def kill(session: nox.Session) -> None:
    """The kill matrix in its long form: every fault point, every store."""
    install(session, "test")

    session.run("pytest", "-n", "2", "-m", "kill", "tests/kill", *session.posargs, env={"TIMESTAMP_GUARD_KILL": "long"})


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure against the floors and the peers."""
    install(session, "bench")

    session.run("python", "bench/run.py", *session.posargs)


@nox.session(default=False)
def large(session: nox.Session) -> None:
    """A snapshot of Convex with more than 4 GiB of documents: filled, taken back, in constant memory."""
    install(session, "bench")

    session.run("python", "bench/convex_snapshot.py", "--gigabytes", "4.5", *session.posargs)


def install(session: nox.Session, *groups: str, package: bool = True) -> None:
    """Install dependency *groups* and, unless told otherwise, the package with all extras."""
    ours = ("-e", ".[all]") if package else ()
    session.install(*ours, *nox.project.dependency_groups(PYPROJECT, *groups))


def readme_example() -> str:
    """Return the first Python example of the README."""
    readme = Path("README.md").read_text(encoding="utf-8")
    found = re.search(r"^```python\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    if found is None:
        raise SystemExit("README.md has no ```python example")
    return found[1]

"""Every Python example of README.md and docs/ is run, each page in an empty folder of its own."""

import contextlib
from collections.abc import Iterator

import pytest
from sybil import Sybil
from sybil.parsers.myst import PythonCodeBlockParser, SkipParser
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/*.md"],
    excludes=["*/README.md"],  # a pattern is matched from the right: only the one beside this file
    fixtures=["empty_folder"],
).pytest()


@pytest.fixture(scope="module")
def empty_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Be in an empty folder for as long as the examples of a page run."""
    with contextlib.chdir(tmp_path_factory.mktemp("examples")):
        yield


class PageByPage(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist ships no types
    """
    Give a page to one worker, because its examples build on each other; any other test to any.

    `--dist loadgroup` would say the same, but pytest-xdist 3.8 forgets the groups on pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        page, _, _ = nodeid.partition(".md::")
        return page


@pytest.hookimpl(optionalhook=True)  # pytest-xdist can be switched off
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> PageByPage:
    """Be asked for by pytest-xdist."""
    return PageByPage(config, log)

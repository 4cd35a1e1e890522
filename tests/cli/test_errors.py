"""Bad input, named: one clear sentence on stderr, the right exit code, nothing written."""

import importlib
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from timestamp_guard import errors
from timestamp_guard.stores import open_store
from timestamp_guard.stores.sql.database import Database
from timestamp_guard.stores.sql.sqlite import SqliteStore

from .conftest import ENVIRONMENT, MEANING, URL, Cli, Rows, Said


def sentence(said: Said) -> str:
    """What is on stderr: one line that begins with our name."""
    assert "Traceback" not in said.err
    assert "" == said.out
    assert said.err.startswith("timestamp-guard: ")
    assert 1 == said.err.count("\n")
    return said.err.removeprefix("timestamp-guard: ").rstrip("\n")


ENCODED = ("--updated", "updatedAt", "--encoding", "epoch_ms")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["chek"], 'Did you mean "check"?'),
        (["check", URL, "--updatd", "x"], "Did you mean --updated?"),
        (["check", URL, "services"], "'services' is one word too many, or no command. Try: timestamp-guard check --help"),
        (["convex", "inti"], "'inti' is one word too many, or no command. Try: timestamp-guard convex --help"),
        (["check", URL, *ENCODED, "--format", "xml"], 'Choose from: "text", "json"'),
        (["check", URL, "--encoding", "epoch_ms"], "--encoding goes with a URL and --updated"),
        (["check", URL, "--updated", "updatedAt"], "--encoding is missing"),
        (["check"], "there is no timestamp-guard.toml in this folder"),
        (["check", URL], f"timestamp-guard init {URL}"),
        (["check", "--updated", "updatedAt"], "--updated goes with a URL"),
        (["check", URL, *ENCODED, "--config", "x.toml"], "leave one out"),
        (["check", "--config", "x.toml"], "no configuration file x.toml"),
        (["check", "oracle://x", *ENCODED], "cannot read the address 'oracle://x'"),
        (["check", URL, "--updated", "updatedAt", "--encoding", "epoch_m"], "--encoding: unknown encoding 'epoch_m'"),
        (["check", URL, *ENCODED, "--encoding", "epoch_s"], "both for all fields"),
        (["check", URL, *ENCODED, "--encoding", "updateAt=epoch_s"], "no field 'updateAt' in services"),
        (["check", URL, *ENCODED, "--skew", "5"], "--skew: cannot read '5' as a duration"),
        (["check", URL, *ENCODED, "--skew", "-5s"], "cannot be negative"),
        (["check", URL, *ENCODED, "--tolerance", "soon"], "--tolerance: cannot read 'soon'"),
        (["check", URL, *ENCODED, "--earliest", "soon"], "--earliest: cannot read 'soon'"),
        (["check", URL, *ENCODED, "--table", "service"], "did you mean 'services'?"),
        (["check", URL, "--updated", "updateAt", "--encoding", "epoch_ms"], "did you mean 'updatedAt'"),
        (["check", URL, *ENCODED, "--created", "createAt"], "did you mean 'createdAt'?"),
        (["check", URL, *ENCODED, "--created", "updatedAt"], "compares 'updatedAt' with itself"),
        (["check", URL, *ENCODED, "--key", "_idd"], "'_idd'"),
        (["plan", URL, *ENCODED], "what may updatedAt be filled from?"),
        (["plan", URL, *ENCODED, "--fill", "createAt"], "did you mean 'createdAt'?"),
        (["plan", URL, *ENCODED, "--fill", "latest(a"], "--fill: cannot read 'latest(a'"),
        (["plan", URL, *ENCODED, "--fill", "updatedAt"], "cannot be filled from itself"),
        (["plan", URL, *ENCODED, "--also", "null"], "fill does not say from what"),
        (["plan", URL, *ENCODED, "--fill", "now", "--also", "in_futur"], "unknown code 'in_futur'"),
        (["backfill", URL, *ENCODED, "--fill", "now", "--pace", "fast"], "--pace: cannot read 'fast'"),
        (["backfill", URL, *ENCODED, "--fill", "now", "--pace", "0s"], "leaves no time to write"),
        (["backfill", URL, *ENCODED, "--fill", "now", "--max-active", "5"], "is none: leave out --max-active"),
        (["backfill", URL, *ENCODED, "--fill", "now", "--replica", "mysql://h/app"], "like --max-lag 5s"),
        (["backfill", URL, *ENCODED, "--fill", "now", "--backup", URL[10:]], "is there already"),
        (["backfill", URL, *ENCODED, "--fill", "now", "--key", "createdAt"], "createdAt"),
        (["rollback"], "in this folder: go where it is, or name the store whose runs are meant, by its URL"),
        (["runs", "show", "1"], "in this folder: go where it is, or name the store whose runs are meant, by its URL"),
        (["rollback", URL, "--run", "7"], "no run '7'"),
        (["rollback", URL, "--run", "x"], "into int"),
        (["rollback", URL, "--table", "service"], "did you mean 'services'?"),
        (["runs", "show", "7", URL], "no run '7'"),
        (["runs", "export", "7", URL], "no run '7'"),
        (["runs", URL, "--table", "service"], "did you mean 'services'?"),
        (["init", URL, "--table", "service"], "did you mean 'services'?"),
        (["init", URL, "--table", "log"], "no table 'log'"),
    ],
)  # fmt: skip
def test_usage(shop: Path, cli: Cli, words: list[str], wanted: str) -> None:
    """
    Whatever cannot be right exits 2, says what was found, what was wanted and what is near, and writes nothing.
    """
    before = shop.read_bytes()

    said = cli(*words)

    assert wanted in sentence(said)
    assert 2 == said.code
    assert before == shop.read_bytes()
    assert [shop] == list(shop.parent.iterdir())


@pytest.mark.parametrize("key", ["prod:happy-otter-123|c2VjcmV0LXNlY3JldA==", "self-hosted|0123456789abcdef0123"])
@pytest.mark.parametrize(
    "words", [["check", URL, *ENCODED], ["plan", URL, *ENCODED, "--fill", "now"], ["rollback", URL]]
)
def test_a_secret_for_a_field(shop: Path, cli: Cli, words: list[str], key: str) -> None:
    """
    A deploy key that is given as --key is not repeated: it is said where it belongs.
    """
    said = cli(*words, "--key", key)

    assert 2 == said.code
    assert "put that into CONVEX_DEPLOY_KEY" in said.err
    assert key.rpartition("|")[2] not in said.out + said.err
    assert [shop] == list(shop.parent.iterdir())


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for locks only for a moment."""
    for defaults in (Database.__init__.__kwdefaults__, SqliteStore.__init__.__kwdefaults__, open_store.__kwdefaults__):
        assert defaults is not None
        monkeypatch.setitem(defaults, "timeout", 0.05)


COMMANDS = [
    ["check", URL, *MEANING],
    ["plan", URL, *MEANING, "--fill", "createdAt"],
    ["backfill", URL, *MEANING, "--fill", "createdAt"],
    ["runs", URL],
    ["runs", "show", "1", URL],
    ["runs", "export", "1", URL],
    ["rollback", URL],
    ["init", URL],
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[:2]))
class TestStore:
    """What is wrong with the store exits 3."""

    def test_missing(self, shop: Path, cli: Cli, words: list[str]) -> None:
        """
        A store that is not there is said to be missing, and is not made.
        """
        shop.unlink()

        said = cli(*words)

        assert "app.db" in sentence(said)
        assert 3 == said.code
        assert [] == list(shop.parent.iterdir())

    def test_no_database(self, shop: Path, cli: Cli, words: list[str]) -> None:
        """
        A file of another kind is no database, and stays what it is.
        """
        shop.write_bytes(b"no database, and long enough to have a header" * 20)

        said = cli(*words)

        assert "is not a SQLite database" in sentence(said)
        assert 3 == said.code
        assert shop.read_bytes().startswith(b"no database")

    def test_damaged(self, shop: Path, cli: Cli, words: list[str]) -> None:
        """
        A database whose pages are overwritten is said to be damaged.
        """
        whole = shop.read_bytes()
        shop.write_bytes(whole[:100] + b"\xff" * (len(whole) - 100))

        said = cli(*words)

        assert "damaged" in sentence(said)
        assert 3 == said.code

    def test_locked(self, shop: Path, cli: Cli, words: list[str], impatient: None) -> None:
        """
        A database that another process holds is said to be locked.
        """
        with closing(sqlite3.connect(shop, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            said = cli(*words)

        assert "locked" in sentence(said)
        assert 3 == said.code


class TestBackfill:
    """What a backfill refuses."""

    WORDS = ("backfill", URL, *MEANING, "--fill", "createdAt")

    def test_read_only(self, shop: Path, cli: Cli) -> None:
        """
        A file that can only be read can be checked, and cannot be filled.
        """
        if os.geteuid() == 0:
            pytest.skip("root may write what is read-only")
        shop.chmod(0o444)

        assert 1 == cli("check", URL, *MEANING).code
        assert 3 == cli(*self.WORDS).code

    def test_trigger(self, shop: Path, cli: Cli, rows: Rows) -> None:
        """
        A trigger that overwrites what is written is named, and nothing stays of the attempt.
        """
        rows(
            "CREATE TRIGGER touch AFTER UPDATE ON services BEGIN "
            "UPDATE services SET updatedAt = 1800000000000 WHERE _id = new._id; END"
        )
        before = rows()

        said = cli(*self.WORDS)

        assert "touch" in sentence(said)
        assert 3 == said.code
        assert before == rows()

    def test_no_identity(self, shop: Path, cli: Cli, rows: Rows) -> None:
        """
        A table without a key can be checked, and is not filled.
        """
        rows("CREATE TABLE bare AS SELECT * FROM services")
        words = ("--table", "bare", *MEANING)

        assert 1 == cli("check", URL, *words).code
        said = cli("backfill", URL, *words, "--fill", "createdAt")
        assert "bare" in sentence(said)
        assert 2 == said.code

    def test_unknown_ledger(self, shop: Path, cli: Cli, rows: Rows) -> None:
        """
        A ledger of a later release is left alone.
        """
        cli(*self.WORDS)
        rows("UPDATE timestamp_guard_runs SET version = 99")

        for words in (self.WORDS, ("runs", URL), ("rollback", URL)):
            said = cli(*words)
            assert "version 99" in sentence(said)
            assert 3 == said.code

    def test_damaged_ledger(self, shop: Path, cli: Cli, rows: Rows) -> None:
        """
        A ledger that cannot be read is said to be damaged.
        """
        cli(*self.WORDS)
        rows("UPDATE timestamp_guard_runs SET plan = 'nonsense'")

        for words in (self.WORDS, ("runs", URL), ("rollback", URL)):
            said = cli(*words)
            assert "damaged" in sentence(said)
            assert 3 == said.code


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (errors.UsageError("so"), 2),
        (errors.PlanChanged("so"), 2),
        (errors.StoreFull("so"), 3),
        (errors.RunBusy("so"), 3),
        (errors.LedgerError("so"), 3),
        (errors.LeaseLost("so"), 3),
        (errors.TooManyFailures("so"), 1),
    ],
)
@pytest.mark.parametrize("place", ["engine", "target"])
def test_codes(
    shop: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, problem: Exception, code: int, place: str
) -> None:
    """
    Every error of ours has its exit code, wherever it comes from.
    """

    def fail(*_: object, **__: object) -> None:
        raise problem

    module = importlib.import_module(f"timestamp_guard.cli.{'check' if place == 'engine' else '_targets'}")
    monkeypatch.setattr(module, "look" if place == "engine" else "ensure_fits", fail)

    said = cli("check", URL, *MEANING)

    assert sentence(said).endswith("so")
    assert code == said.code


def test_fault_of_ours(shop: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    What nobody thought of is one sentence too, and a traceback for who asks.
    """

    def fail(*_: object, **__: object) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr(importlib.import_module("timestamp_guard.cli.check"), "look", fail)

    said = cli("check", URL, *MEANING)
    assert "please report it: RecursionError: too deep" in sentence(said)
    assert 1 == said.code

    monkeypatch.setenv("TIMESTAMP_GUARD_TRACEBACK", "1")
    with pytest.raises(RecursionError):
        cli("check", URL, *MEANING)


@pytest.mark.parametrize("package", ["cyclopts", "rich"])
def test_missing_extra(cli: Cli, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """
    Without the packages of the command line, there is a sentence with the command that installs them.
    """
    for name in [*sys.modules]:
        if name.partition(".")[0] == package or name == "timestamp_guard.cli._app":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)

    said = cli("--help")

    assert "python -m pip install 'timestamp-guard[cli]'" in sentence(said)
    assert 2 == said.code


def test_interrupted_check(shop: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Ctrl-C while something is only read exits 130 and says that nothing was written.
    """

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib.import_module("timestamp_guard.cli.check"), "look", interrupt)

    said = cli("check", URL, *MEANING)

    assert "interrupted; nothing was written" == sentence(said)
    assert 130 == said.code


def test_closed_pipe(shop: Path) -> None:
    """
    A reader who has seen enough is no error: nothing is on stderr.
    """
    with closing(sqlite3.connect(shop)) as database:
        for number in range(300):
            database.execute(f'CREATE TABLE "{"t" * 150}{number}" (id INTEGER PRIMARY KEY, updatedAt)')
        database.commit()
    words = [
        sys.executable,
        "-m",
        "timestamp_guard",
        "check",
        URL,
        "--updated",
        "updatedAt",
        "--encoding",
        "epoch_ms",
    ]

    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=shop.parent, env=ENVIRONMENT
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()

    assert (141, b"") == (process.returncode, err)


def test_several_stores(shop: Path, cli: Cli) -> None:
    """
    Where one of several stores is not there, the others are checked all the same, and the exit code is the worst.
    """
    table = '[[store.table]]\nname = "services"\nupdated = "updatedAt"\nencoding = "epoch_ms"\n'
    Path("timestamp-guard.toml").write_text(
        f'[[store]]\nurl = "sqlite:///gone.db"\n{table}[[store]]\nurl = "{URL}"\n{table}', "utf-8"
    )

    said = cli("check", "--format", "json")

    assert 3 == said.code
    assert said.json["ok"] is False
    assert [6] == [each["records"] for each in said.json["tables"].values()]
    assert "gone.db" in said.err
    assert 1 == said.err.count("\n")

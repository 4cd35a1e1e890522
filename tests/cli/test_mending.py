"""plan, backfill, rollback and runs: one after the other, as people call them."""

import importlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from timestamp_guard.stores.base import Step

from .conftest import ENVIRONMENT, MEANING, SERVICES, T0, URL, Cli, Rows

FILL = (URL, *MEANING, "--fill", "createdAt")
FILLED = [(key, created, {"b": T0, "c": T0}.get(key, updated)) for key, created, updated in SERVICES]
ALL = ("--also", "too_early", "--also", "in_future", "--also", "out_of_order")


class TestPlan:
    def test_text(self, shop: Path, cli: Cli, rows: Rows) -> None:
        """
        A plan says what would be filled, from what, and with which statement; exit 1 says that there is work.
        """
        said = cli("plan", *FILL)

        assert (1, "") == (said.code, said.err)
        assert said.out.startswith("services: 2 to fill, 0 unrepairable\n")
        assert f"'b': None -> {T0} from createdAt" in said.out
        assert SERVICES == rows()

    def test_json(self, shop: Path, cli: Cli) -> None:
        """
        The JSON form has an entry for each table.
        """
        said = cli("plan", *FILL, "--fill", "now", "--format", "json")
        table = said.json["tables"]["services"]

        assert ["ok", "now", "tables"] == list(said.json)
        assert (2, 0, {"createdAt": 2, "NOW": 0}) == (table["work"], table["unrepairable"], table["candidates"])
        assert "b" == table["samples"][0]["key"]

    def test_nothing_to_do(self, shop: Path, cli: Cli, rows: Rows) -> None:
        """
        Nothing to do is exit 0.
        """
        rows("DELETE FROM services WHERE _id IN ('b', 'c')")

        assert 0 == cli("plan", *FILL).code


class TestBackfill:
    def test_text(self, shop: Path, cli: Cli, rows: Rows) -> None:
        """
        What is missing is filled, and nothing else is touched.
        """
        said = cli("backfill", *FILL)

        assert (0, "services: backfill 1, complete: 2 filled\n", "") == (said.code, said.out, said.err)
        assert FILLED == rows()

    def test_again(self, shop: Path, cli: Cli) -> None:
        """
        Called again, there is nothing to do, and that is fine.
        """
        cli("backfill", *FILL)
        said = cli("backfill", *FILL, "--format", "json")

        assert 0 == said.code
        assert (True, None) == (said.json["ok"], said.json["tables"]["services"]["id"])

    def test_also_in_order(self, shop: Path, cli: Cli, rows: Rows) -> None:
        """
        --fill and --also can be repeated; the first candidate with which the record is sound is taken.
        """
        said = cli("backfill", URL, *MEANING, "--fill", "reread(updatedAt, epoch_s)", "--fill", "createdAt", *ALL)

        assert 0 == said.code
        assert [T0 + 5000, T0, T0, T0 + 5000, T0, T0] == [updated for _, _, updated in rows()]
        assert 0 == cli("check", URL, *MEANING).code

    def test_now(self, shop: Path, cli: Cli, rows: Rows) -> None:
        """
        --fill now fills in the time of the run.
        """
        said = cli("backfill", URL, *MEANING, "--fill", "now")

        assert 0 == said.code
        assert [True, True] == [updated > T0 + 10**9 for key, _, updated in rows() if key in "bc"]

    def test_unrepairable(self, shop: Path, cli: Cli) -> None:
        """
        What no candidate can mend is left, counted, and makes the command exit 1.
        """
        said = cli("backfill", URL, *MEANING, "--fill", "1999-01-01")

        assert 1 == said.code
        assert "2 unrepairable" in said.out

    def test_key(self, shop: Path, cli: Cli, rows: Rows) -> None:
        """
        --key names what identifies a row, where the table does not say; rollback is told the same.
        """
        rows("CREATE TABLE bare AS SELECT * FROM services")
        rows("CREATE UNIQUE INDEX bare_id ON bare (_id)")
        before = rows("SELECT * FROM bare")

        said = cli("backfill", *FILL, "--table", "bare", "--key", "_id")

        assert (0, "") == (said.code, said.err)
        assert 0 == cli("rollback", URL, "--table", "bare", "--key", "_id").code
        assert before == rows("SELECT * FROM bare")

    def test_backup(self, shop: Path, cli: Cli, rows: Rows) -> None:
        """
        --backup makes a copy of the whole store before anything is written, once for all tables.
        """
        rows("CREATE TABLE more AS SELECT * FROM services")
        rows("CREATE UNIQUE INDEX more_id ON more (_id)")
        copy = shop.with_name("copy.db")

        said = cli("backfill", *FILL, "--backup", copy, "--table", "services")

        assert (0, "") == (said.code, said.err)
        with closing(sqlite3.connect(copy)) as database:
            assert SERVICES == database.execute("SELECT * FROM services ORDER BY 1").fetchall()
        assert FILLED == rows()

    def test_pace(self, shop: Path, cli: Cli, rows: Rows) -> None:
        """
        --pace says how gentle to be.
        """
        assert 0 == cli("backfill", *FILL, "--pace", "1ms").code
        assert FILLED == rows()

    def test_bar(self, shop: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        On a terminal there is a bar on stderr, with the rate; stdout is the same.
        """
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        monkeypatch.setenv("TERM", "xterm")

        said = cli("backfill", *FILL)

        assert "services: backfill 1, complete: 2 filled\n" == said.out
        assert "2 filled" in said.err
        assert "/s" in said.err

    def test_one_fails(self, shop: Path, cli: Cli, rows: Rows) -> None:
        """
        Where one table fails while it is filled, it is named, and the others are filled all the same.
        """
        rows("CREATE TABLE bare AS SELECT * FROM services")

        said = cli("backfill", *FILL)

        assert (2, "services: backfill 1, complete: 2 filled\n") == (said.code, said.out)
        assert "bare" in said.err
        assert FILLED == rows()

    def test_nothing_before_usage(self, shop: Path, cli: Cli, rows: Rows) -> None:
        """
        A field that one table lacks stops the command before any table is written.
        """
        rows("CREATE TABLE a_table (id INTEGER PRIMARY KEY, createdAt, updatedAt)")
        rows("CREATE TABLE z_table (id INTEGER PRIMARY KEY, updatedAt)")

        said = cli("backfill", *FILL)

        assert (2, "") == (said.code, said.out)
        assert "no field 'createdAt' in z_table" in said.err
        assert SERVICES == rows()


def _interrupt_after(monkeypatch: pytest.MonkeyPatch, command: str, steps: int) -> None:
    """Press Ctrl-C after so many steps, which are made small."""
    module: Any = importlib.import_module(f"timestamp_guard.cli.{command}")
    engine = getattr(module, {"backfill": "fill", "rollback": "take_back"}[command])

    def interrupted(*arguments: Any, **words: Any) -> Any:
        def progress(_: Step) -> None:
            nonlocal steps
            steps -= 1
            if steps == 0:
                raise KeyboardInterrupt

        from timestamp_guard import Pace

        return engine(*arguments, **{**words, "progress": progress, "pace": Pace(start=1)})

    monkeypatch.setattr(module, "fill" if command == "backfill" else "take_back", interrupted)


class TestInterrupted:
    """Ctrl-C in the middle."""

    @pytest.fixture
    def interrupt(self) -> Callable[[pytest.MonkeyPatch, str], None]:
        return lambda monkeypatch, command: _interrupt_after(monkeypatch, command, 1)

    def test_backfill(self, shop: Path, cli: Cli, rows: Rows, interrupt: Any) -> None:
        """
        It exits 130 and says how to go on; the same command goes on, and the end is the same.
        """
        with pytest.MonkeyPatch.context() as patch:
            interrupt(patch, "backfill")
            said = cli("backfill", *FILL)
        assert (130, "") == (said.code, said.out)
        assert "call the same command again to go on" in said.err
        assert f"timestamp-guard rollback {URL}" in said.err
        assert [1] == [run["counts"]["changed"] for run in cli("runs", URL, "--format", "json").json["runs"]]

        said = cli("backfill", *FILL)

        assert (0, "services: backfill 1, complete: 2 filled\n") == (said.code, said.out)
        assert FILLED == rows()

    def test_taken_back(self, shop: Path, cli: Cli, rows: Rows, interrupt: Any) -> None:
        """
        Or it is taken back, as it says.
        """
        with pytest.MonkeyPatch.context() as patch:
            interrupt(patch, "backfill")
            cli("backfill", *FILL)

        said = cli("rollback", URL)

        assert 0 == said.code
        assert SERVICES == rows()

    def test_other_plan(self, shop: Path, cli: Cli, interrupt: Any) -> None:
        """
        An unfinished run is not gone on with by another plan.
        """
        with pytest.MonkeyPatch.context() as patch:
            interrupt(patch, "backfill")
            cli("backfill", *FILL)

        said = cli("backfill", URL, *MEANING, "--fill", "now")

        assert 2 == said.code
        assert "planned differently" in said.err

    def test_backup(self, shop: Path, cli: Cli, interrupt: Any) -> None:
        """
        The same command with --backup goes on too, and leaves the copy as it was made.
        """
        words = ("backfill", *FILL, "--backup", "copy.db")
        with pytest.MonkeyPatch.context() as patch:
            interrupt(patch, "backfill")
            cli(*words)
        copy = Path("copy.db").read_bytes()

        said = cli(*words)

        assert (0, "") == (said.code, said.err)
        assert copy == Path("copy.db").read_bytes()

    def test_rollback(self, shop: Path, cli: Cli, rows: Rows, interrupt: Any) -> None:
        """
        A rollback can be interrupted and gone on with as well.
        """
        cli("backfill", *FILL)
        with pytest.MonkeyPatch.context() as patch:
            interrupt(patch, "rollback")
            said = cli("rollback", URL)
        assert 130 == said.code
        assert "call the same command again" in said.err

        assert 0 == cli("rollback", URL).code
        assert SERVICES == rows()


class TestRollback:
    def test_text(self, shop: Path, cli: Cli, rows: Rows) -> None:
        """
        Everything is as it was.
        """
        cli("backfill", *FILL)

        said = cli("rollback", URL)

        assert (0, "services: rollback 2 of run 1, complete: 2 restored\n", "") == (said.code, said.out, said.err)
        assert SERVICES == rows()

    def test_changed_since(self, shop: Path, cli: Cli, rows: Rows) -> None:
        """
        What was written since is left alone, and makes it exit 1.
        """
        cli("backfill", *FILL)
        rows(f"UPDATE services SET updatedAt = {T0 + 1} WHERE _id = 'b'")

        said = cli("rollback", URL, "--run", 1, "--format", "json")

        assert 1 == said.code
        assert (1, 1) == tuple(said.json["tables"]["services"]["counts"][name] for name in ("changed", "refused"))
        assert [("b", T0, T0 + 1)] == rows("SELECT * FROM services WHERE _id = 'b'")

    def test_every_table(self, shop: Path, cli: Cli, rows: Rows) -> None:
        """
        Without --table, the newest run of every table is taken back; of one that is gone, nothing.
        """
        for name in ("more", "gone"):
            rows(f"CREATE TABLE {name} (_id TEXT PRIMARY KEY, createdAt, updatedAt)")
            rows(f"INSERT INTO {name} SELECT * FROM services")
        cli("backfill", *FILL)
        rows("DROP TABLE gone")

        said = cli("rollback", URL, "--format", "json")

        assert 0 == said.code
        assert ["more", "services"] == sorted(said.json["tables"])
        assert SERVICES == rows()
        assert SERVICES == rows("SELECT * FROM more ORDER BY 1")

    def test_one_table(self, shop: Path, cli: Cli, rows: Rows) -> None:
        """
        With --table, that table only.
        """
        rows("CREATE TABLE more (_id TEXT PRIMARY KEY, createdAt, updatedAt)")
        rows("INSERT INTO more SELECT * FROM services")
        cli("backfill", *FILL)

        said = cli("rollback", URL, "--table", "more")

        assert (0, "") == (said.code, said.err)
        assert (FILLED, SERVICES) == (rows(), rows("SELECT * FROM more ORDER BY 1"))

    def test_nothing(self, shop: Path, cli: Cli) -> None:
        """
        Where nothing was done, there is nothing to take back.
        """
        said = cli("rollback", URL)

        assert (0, "nothing to take back: no run is recorded\n") == (said.code, said.out)

    def test_twice(self, shop: Path, cli: Cli) -> None:
        """
        A run is taken back once.
        """
        cli("backfill", *FILL)
        cli("rollback", URL)

        assert 2 == cli("rollback", URL, "--run", 1).code
        assert 0 == cli("rollback", URL).code


class TestRuns:
    def test_none(self, shop: Path, cli: Cli) -> None:
        """
        A store in which nothing was done has no runs, and neither has one without tables.
        """
        said = cli("runs", URL)
        assert (0, "no run is recorded\n") == (said.code, said.out)
        with closing(sqlite3.connect("empty.db")) as database:
            database.execute("CREATE VIEW one AS SELECT 1")
            database.commit()
        said = cli("runs", "sqlite:///empty.db")
        assert (0, "no run is recorded\n") == (said.code, said.out)
        Path("timestamp-guard.toml").write_text("[audit]\n")
        said = cli("runs")
        assert (2, True) == (said.code, "timestamp-guard.toml describes no store" in said.err)

    def test_list(self, shop: Path, cli: Cli) -> None:
        """
        Runs are listed, the oldest first, each with when and what.
        """
        cli("backfill", *FILL)
        cli("rollback", URL)

        lines = cli("runs", URL, "--table", "services").out.splitlines()

        assert ["services: backfill 1, complete: 2 filled", "services: rollback 2 of run 1, complete: 2 restored"] == [
            line.partition("  ")[2] for line in lines
        ]

    def test_json(self, shop: Path, cli: Cli) -> None:
        """
        The JSON form has a run in each entry, and the store.
        """
        cli("backfill", *FILL)

        said = cli("runs", URL, "--format", "json")

        assert (0, True) == (said.code, said.json["ok"])
        assert [(1, URL, "services", "complete")] == [
            (run["id"], run["store"], run["table"], run["status"]) for run in said.json["runs"]
        ]

    def test_show(self, shop: Path, cli: Cli) -> None:
        """
        One run is shown with its plan, and with where the values came from.
        """
        cli("backfill", URL, *MEANING, "--fill", "reread(updatedAt, epoch_s)", "--fill", "createdAt", *ALL)

        said = cli("runs", "show", 1, URL)

        assert 0 == said.code
        assert "4 from createdAt" in said.out
        assert f"'d': updatedAt 1700000005 -> {T0 + 5000} from reread(updatedAt, epoch_s)" in said.out
        shown = cli("runs", "show", 1, URL, "--format", "json").json
        assert {"createdAt": 4, "reread(updatedAt, epoch_s)": 1} == shown["candidates"]
        assert [] == shown["quarantined"]
        assert 5 == len(shown["samples"])

    def test_export(self, shop: Path, cli: Cli) -> None:
        """
        Every change is a line of JSON, the newest first; text gives the same for people.
        """
        cli("backfill", *FILL)

        run, *changes = map(json.loads, cli("runs", "export", 1, URL).out.splitlines())

        assert 2 == run["run"]["counts"]["changed"]
        assert [("c", 0, T0), ("b", None, T0)] == [(each["key"], each["before"], each["after"]) for each in changes]
        assert f"'b': updatedAt None -> {T0} from createdAt\n" in cli("runs", "export", 1, URL, "--format", "text").out


class TestFile:
    """The same with a configuration file."""

    @pytest.fixture(autouse=True)
    def _file(self, shop: Path) -> None:
        Path("timestamp-guard.toml").write_text(
            f"""
            [[store]]
            url = "{URL}"

            [[store.table]]
            name = "services"
            updated = "updatedAt"
            created = "createdAt"
            encoding = "epoch_ms"
            fill = "createdAt"

            [[store.table]]
            name = "pages"
            updated = "updated_at"
            encoding = "rfc3339"
            """,
            "utf-8",
        )

    def test_all(self, cli: Cli) -> None:
        """
        Without words, every table of the file.
        """
        said = cli("check", "--format", "json")

        assert ["services", "pages"] == list(said.json["tables"])

    @pytest.mark.parametrize("words", [["--table", "pages"], [URL, "--table", "pages"]])
    def test_chosen(self, cli: Cli, words: list[str]) -> None:
        """
        With --table, that one; a URL chooses the store.
        """
        assert ["pages"] == list(cli("check", *words, "--format", "json").json["tables"])

    @pytest.mark.parametrize(
        ("words", "wanted"),
        [
            (["--table", "page"], "did you mean 'pages'?"),
            (["sqlite:///ap.db"], "did you mean 'sqlite:///app.db'?"),
            (["--tolerance", "1s"], "--tolerance goes with a URL and --updated"),
        ],
    )
    def test_wrong(self, cli: Cli, words: list[str], wanted: str) -> None:
        """
        What the file does not have is wrong usage.
        """
        said = cli("check", *words)

        assert wanted in said.err
        assert 2 == said.code

    def test_left_out(self, cli: Cli, rows: Rows) -> None:
        """
        A table of which it is not said what to fill it from is left out of a backfill, with a word on stderr.
        """
        said = cli("backfill")

        assert (0, "services: backfill 1, complete: 2 filled\n") == (said.code, said.out)
        assert "pages is left out" in said.err
        assert FILLED == rows()

    def test_way_back(self, cli: Cli, rows: Rows) -> None:
        """
        rollback and runs find the store by the file too.
        """
        cli("backfill")

        assert "backfill 1" in cli("runs").out
        assert "backfill 1" in cli("runs", "show", "1").out
        assert 0 == cli("rollback", "--run", 1).code
        assert SERVICES == rows()

    def test_elsewhere(self, cli: Cli, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A relative address is one from the folder of the file.
        """
        (shop.parent / "below").mkdir()
        monkeypatch.chdir(shop.parent / "below")

        said = cli("check", "--config", "../timestamp-guard.toml", "--table", "services")

        assert "services: 6 records, 5 broken" in said.out

    def test_same_name_twice(self, cli: Cli, shop: Path, rows: Rows) -> None:
        """
        Tables of the same name in two stores are told apart, and a run is asked for by its store.
        """
        shop.with_name("other.db").write_bytes(shop.read_bytes())
        file = Path("timestamp-guard.toml")
        text = file.read_text("utf-8")
        file.write_text(text + text.replace("app.db", "other.db"), "utf-8")

        said = cli("check", "--table", "services", "--format", "json")

        assert ["services (sqlite:///app.db)", "services (sqlite:///other.db)"] == list(said.json["tables"])
        assert 2 == cli("backfill", "--backup", "copy.db").code
        cli("backfill")
        assert "give the URL" in cli("rollback", "--run", 1).err
        assert 0 == cli("rollback").code
        assert SERVICES == rows()


def test_as_a_process(shop: Path) -> None:
    """
    The command is the same as a process of its own, and its results are on stdout alone.
    """
    said = subprocess.run(
        [sys.executable, "-m", "timestamp_guard", "backfill", *FILL, "--format", "json"],
        capture_output=True,
        check=False,
        cwd=shop.parent,
        env=ENVIRONMENT,
    )

    assert (0, b"") == (said.returncode, said.stderr)
    assert json.loads(said.stdout)["ok"] is True

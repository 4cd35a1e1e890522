import tomllib
from pathlib import Path
from typing import Any

import pytest

from timestamp_guard.config import load, section

from .conftest import URL, Cli, Rows

FILE = Path("timestamp-guard.toml")
MANY = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) INSERT INTO t SELECT {} FROM n"


def _table(name: str = "t") -> Any:
    """What the file says of a table."""
    (store,) = tomllib.loads(FILE.read_text("utf-8"))["store"]
    (found,) = [table for table in store["table"] if table["name"] == name]
    return found


def test_writes(shop: Path, cli: Cli) -> None:
    """
    The file says what was found, loads, and a check works right away.
    """
    said = cli("init", URL)

    assert (0, "") == (said.code, said.err)
    assert "wrote timestamp-guard.toml; next: timestamp-guard check\n" in said.out
    assert "left out, as nothing in them looks like updatedAt: log\n" in said.out
    assert {("pages", "updated_at"), ("services", "updatedAt")} == {(each.name, each.updated) for each in load(FILE)}
    assert 1 == cli("check").code
    assert 0 == cli("backfill", "--table", "services").code


def test_json(shop: Path, cli: Cli) -> None:
    """
    The JSON form says how sure it is.
    """
    said = cli("init", URL, "--table", "services", "--format", "json")

    table = said.json["tables"]["services"]
    assert ("updatedAt", "createdAt", 6) == (table["updated"], table["created"], table["sampled"])
    assert {"encoding": "epoch_ms", "share": 1.0, "values": 6, "strays": {}} == table["fields"]["createdAt"]
    assert {"epoch_s": 1} == table["fields"]["updatedAt"]["strays"]


def test_never_overwrites(shop: Path, cli: Cli) -> None:
    """
    A file that is there stays, unless it is to be replaced.
    """
    FILE.write_text("mine", "utf-8")

    said = cli("init", URL)
    assert 2 == said.code
    assert "--force" in said.err
    assert "mine" == FILE.read_text("utf-8")

    assert 0 == cli("init", URL, "--force").code
    assert 2 == len(load(FILE))


def test_prints(shop: Path, cli: Cli) -> None:
    """
    --output - prints the file and writes none.
    """
    said = cli("init", URL, "--output", "-")

    assert 0 == said.code
    assert [URL] == [store["url"] for store in tomllib.loads(said.out)["store"]]
    assert not FILE.exists()


def test_adds(shop: Path, cli: Cli) -> None:
    """
    To a file that says something else already, what is printed can be added, as the refusal says.
    """
    FILE.write_text("[audit]\ntouch = []\n", "utf-8")
    assert f"print it with --output - (>> {FILE} adds it)" in cli("init", URL).err

    FILE.write_text(FILE.read_text("utf-8") + cli("init", URL, "--output", "-").out, "utf-8")

    assert 2 == len(load(FILE))
    assert {"touch": []} == section(FILE, "audit")


def test_elsewhere(shop: Path, cli: Cli) -> None:
    """
    A file in another folder finds the store from there.
    """
    Path("conf").mkdir()

    assert 0 == cli("init", URL, "--output", "conf/guard.toml").code
    assert 1 == cli("check", "--config", "conf/guard.toml").code


def test_nothing_found(shop: Path, cli: Cli, rows: Rows) -> None:
    """
    Where nothing looks like updatedAt, it says how to name it, and writes nothing.
    """
    rows("DROP TABLE services")
    rows("DROP TABLE pages")

    said = cli("init", URL)

    assert 2 == said.code
    assert "--updated FIELD" in said.err
    assert not FILE.exists()


@pytest.mark.parametrize(
    "names",
    [
        ("updatedAt", "createdAt"),
        ("updated_at", "created_at"),
        ("modified", "created"),
        ("lastModified", "_creationTime"),
        ("last_modified", "published"),
        ("dateUpdated", "dateCreated"),
        ("date_modified", "inserted_at"),
        ("mtime", "ctime"),
        ("changed_at", "added_at"),
        ("UPDATED-AT", "Created On"),
    ],
)
def test_names(shop: Path, cli: Cli, rows: Rows, names: tuple[str, str]) -> None:
    """
    Fields are found by the names that people give them.
    """
    rows(f'CREATE TABLE t (id INTEGER PRIMARY KEY, "{names[0]}", "{names[1]}")')
    rows(MANY.format("i, 1700000000000 + i, 1690000000000 + i"))

    assert 0 == cli("init", URL, "--table", "t").code
    assert names == (_table()["updated"], _table()["created"])
    assert 0 == cli("check").code


@pytest.mark.parametrize(
    ("texts", "encoding"),
    [
        (["2024-05-01T00:00:00.000Z", "2024-05-02T10:00:00.125Z", ""], "rfc3339/ms"),
        (["2024-05-01T00:00:00.000Z", "2024-05-02T10:00:00Z"], "rfc3339"),
        (["2024-05-01T00:00:00Z", "2024-05-02T10:00:00Z"], "rfc3339"),
    ],
)
def test_few(shop: Path, cli: Cli, texts: list[str], encoding: str) -> None:
    """
    Of a few texts nothing is concluded, but that those which all have three digits are written by JavaScript.
    """
    lines = [f'{{"id": {n}, "createdAt": 1700000000000, "updatedAt": "{text}"}}' for n, text in enumerate(texts)]
    Path("few.jsonl").write_text("\n".join(lines) + "\n", "utf-8")

    assert 0 == cli("init", "jsonl:few.jsonl").code
    assert encoding == _table("few")["encoding"]["updatedAt"]


@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        ("1700000000 + i", "epoch_s"),
        ("1700000000000 + i", "epoch_ms"),
        ("1700000000000.25 + i", "epoch_ms"),
        ("1700000000000000 + i", "epoch_us"),
        ("1700000000000000000 + i", "epoch_ns"),
        ("strftime('%Y-%m-%dT%H:%M:%SZ', 1700000000 + i, 'unixepoch')", "rfc3339/s"),
        ("strftime('%Y-%m-%dT%H:%M:%S', 1700000000 + i, 'unixepoch') || '.000Z'", "rfc3339/ms"),
        ("strftime('%Y-%m-%dT%H:%M:%S', 1700000000 + i, 'unixepoch') || '.123456Z'", "rfc3339/us"),
        ("strftime('%Y-%m-%dT%H:%M:%S', 1700000000 + i, 'unixepoch') || '.1234567Z'", "rfc3339"),
        ("datetime(1700000000 + i, 'unixepoch')", "iso8601/s@UTC"),
        ("date(1700000000 + i, 'unixepoch')", "iso8601/s@UTC"),
    ],
)
def test_encodings(shop: Path, cli: Cli, rows: Rows, value: str, encoding: str) -> None:
    """
    Encoding, unit and resolution are read off the values.
    """
    rows("CREATE TABLE t (id INTEGER PRIMARY KEY, updatedAt)")
    rows(MANY.format(f"i, {value}"))

    assert 0 == cli("init", URL, "--table", "t").code
    assert encoding == _table()["encoding"]
    assert "2022-01-01" == str(_table()["earliest"])
    assert 0 == cli("check").code


def test_two_encodings(shop: Path, cli: Cli, rows: Rows) -> None:
    """
    Fields that are written differently have an encoding each.
    """
    rows("CREATE TABLE t (id INTEGER PRIMARY KEY, updatedAt, createdAt)")
    rows(MANY.format("i, 1700000000000 + i, datetime(1700000000, 'unixepoch')"))

    assert 0 == cli("init", URL, "--table", "t").code
    assert {"updatedAt": "epoch_ms", "createdAt": "iso8601/s@UTC"} == _table()["encoding"]
    assert 0 == cli("check").code


@pytest.mark.parametrize(
    ("declared", "created", "encoding"),
    [
        ("", "1700000000 + i", "epoch_s"),
        ("TEXT", "1700000000 + i", "epoch_s"),
        ("DATETIME", "NULL", "iso8601@UTC"),
        ("INTEGER", "NULL", "epoch_ms"),
    ],
)
def test_empty(shop: Path, cli: Cli, rows: Rows, declared: str, created: str, encoding: str) -> None:
    """
    A field without a value is taken to be written like its neighbour, else as its type says; a guess, and said to be.
    """
    rows(f"CREATE TABLE t (id INTEGER PRIMARY KEY, updatedAt {declared}, createdAt)")
    rows(MANY.format(f"i, NULL, {created}"))

    said = cli("init", URL, "--table", "t")

    assert f"updatedAt: {encoding}, a guess: no value to look at" in said.out
    assert encoding == _table()["encoding"]
    assert 1 == cli("check").code


def test_no_instants(shop: Path, cli: Cli, rows: Rows) -> None:
    """
    A field of that name that holds no instants is not taken.
    """
    rows("CREATE TABLE t (id INTEGER PRIMARY KEY, changed, mtime)")
    rows(MANY.format("i, i % 2, 1700000000 + i"))

    assert 0 == cli("init", URL, "--table", "t").code
    assert "mtime" == _table()["updated"]


def test_sources(shop: Path, cli: Cli, rows: Rows) -> None:
    """
    Candidates for filling are the created fields, the most usual first; without one, none is chosen for anybody.
    """
    rows("CREATE TABLE t (id INTEGER PRIMARY KEY, updatedAt, _creationTime, createdAt)")
    rows(MANY.format("i, 1700000000000 + i, 1690000000000 + i, 1680000000000 + i"))
    rows("CREATE TABLE u (id INTEGER PRIMARY KEY, updatedAt)")

    cli("init", URL)

    assert ["createdAt", "_creationTime"] == _table()["fill"]
    assert "fill" not in _table("u")
    assert '# fill = ["now"]' in FILE.read_text("utf-8")


def test_sure(shop: Path, cli: Cli, rows: Rows) -> None:
    """
    The share of the values that fit is said, and what the others look like, with the words that would mend them.
    """
    rows("CREATE TABLE t (id INTEGER PRIMARY KEY, updatedAt, createdAt)")
    rows(MANY.format("i, CASE WHEN i % 20 THEN 1700000000000 ELSE 1700000000 END + i, 1690000000000"))

    said = cli("init", URL, "--table", "t")

    assert "updatedAt: epoch_ms, 95% of 200 sampled values; 10 look like epoch_s\n" in said.out
    assert "# updatedAt: epoch_ms, 95% of 200 sampled values; 10 look like epoch_s" in FILE.read_text("utf-8")
    text = FILE.read_text("utf-8").replace('fill = ["createdAt"]', 'fill = ["reread(updatedAt, epoch_s)", "createdAt"]')
    FILE.write_text(text.replace("# and let it mend what is wrong with them as they are: ", ""), "utf-8")
    assert 0 == cli("backfill").code
    assert 0 == cli("check").code


@pytest.mark.parametrize(
    ("value", "earliest"),
    [
        ("1577836800000 + i", "2019-01-01"),  # 2020
        ("CASE WHEN i % 50 THEN 1577836800000 ELSE 1577836800 END", "2019-01-01"),  # seconds are a fault, not history
        ("CASE WHEN i % 4 THEN 1577836800000 ELSE 788918400000 END", "1994-01-01"),  # a quarter from 1995 is history
        ("NULL", "2000-01-01"),
    ],
)
def test_earliest(shop: Path, cli: Cli, rows: Rows, value: str, earliest: str) -> None:
    """
    The earliest instant that is believed is the year before the data begins.
    """
    rows("CREATE TABLE t (id INTEGER PRIMARY KEY, updatedAt)")
    rows(MANY.format(f"i, {value}"))

    assert 0 == cli("init", URL, "--table", "t").code
    assert earliest == str(_table()["earliest"])


def test_no_key(shop: Path, cli: Cli, rows: Rows) -> None:
    """
    A table without a key gets a word about it.
    """
    rows("CREATE TABLE t (updatedAt, createdAt)")

    cli("init", URL, "--table", "t")

    assert "# key = " in FILE.read_text("utf-8")
    assert 0 == cli("check").code


HOSTILE = ['a"b', "a'b", "a\nb", "a\\b", "a, b", "now", "latest(a)", "é✓", "a\x7fb", "# x", "2020-01-01", " a "]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tables(shop: Path, cli: Cli, rows: Rows, name: str) -> None:
    """
    Whatever a table is called, the file that is written loads, and means that table.
    """
    quoted = name.replace('"', '""')
    rows(f'CREATE TABLE "{quoted}" (id INTEGER PRIMARY KEY, updatedAt, createdAt)')

    assert 0 == cli("init", URL, "--table", name).code
    assert name == _table(name)["name"]
    assert 0 == cli("check").code
    assert 0 == cli("plan").code


@pytest.mark.parametrize("name", ["Created At", "created-at", "created.at", 'created"at', "created(at)", "created, at"])
def test_hostile_fields(shop: Path, cli: Cli, rows: Rows, name: str) -> None:
    """
    Whatever a field is called, it is filled from.
    """
    quoted = name.replace('"', '""')
    rows(f'CREATE TABLE t (id INTEGER PRIMARY KEY, "updated""at", "{quoted}")')
    rows(MANY.format("i, NULL, 1690000000000 + i"))

    assert 0 == cli("init", URL, "--table", "t").code
    assert 0 == cli("backfill").code
    assert [(1690000000001,)] == rows('SELECT "updated""at" FROM t WHERE id = 1')


def test_hostile_strays(shop: Path, cli: Cli, rows: Rows) -> None:
    """
    The words that are proposed for strays can be used as they are, whatever the field is called.
    """
    rows('CREATE TABLE t (id INTEGER PRIMARY KEY, "updated, at")')
    rows(MANY.format("i, CASE WHEN i % 20 THEN 1700000000000 ELSE 1700000000 END + i"))

    cli("init", URL, "--table", "t")

    (proposed,) = [line for line in FILE.read_text("utf-8").splitlines() if "reread" in line]
    word = tomllib.loads("fill = " + proposed.partition("begin fill with ")[2].rstrip(","))["fill"]
    assert 'reread("updated, at", epoch_s)' == word


@pytest.mark.parametrize(
    ("usual", "stray", "source", "code"),
    [
        ("1700000000000", "1700000000", "epoch_s", "too_early"),
        ("1700000000", "1700000000000", "epoch_ms", "in_future"),
        ("1700000000000", "'2023-11-14T22:13:20Z'", "rfc3339", "wrong_type"),
        ("'2023-11-14T22:13:20Z'", "1700000000", "epoch_s", "wrong_type"),
        ("'2023-11-14T22:13:20Z'", "'2023-11-14 22:13:20'", "iso8601@UTC", "unreadable"),
    ],
)
def test_strays(shop: Path, cli: Cli, rows: Rows, usual: str, stray: str, source: str, code: str) -> None:
    """
    What is proposed for values in another encoding mends them.
    """
    rows("CREATE TABLE t (id INTEGER PRIMARY KEY, updatedAt)")
    rows(MANY.format(f"i, CASE WHEN i % 20 = 1 THEN {stray} ELSE {usual} END"))

    cli("init", URL, "--table", "t")

    text = FILE.read_text("utf-8")
    assert f'begin fill with "reread(updatedAt, {source})",\n' in text
    assert f'also = ["{code}"]' in text
    FILE.write_text(text + f'fill = ["reread(updatedAt, {source})"]\nalso = ["{code}"]\n', "utf-8")
    assert 1 == cli("check").code
    assert 0 == cli("backfill").code
    assert 0 == cli("check").code

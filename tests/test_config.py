from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from timestamp_guard import NOW, Encoding, Field, Repair, UsageError, earliest, latest, reread, updated_at_guard
from timestamp_guard.config import Table, load, places, read_candidate
from timestamp_guard.errors import ConfigurationError
from timestamp_guard.repairs import MISSING, Candidate
from timestamp_guard.rules import At

FULL = """
[[store]]
url = "sqlite:////tmp/app.db"

[[store.table]]
name = "services"
updated = "updatedAt"
created = "createdAt"
encoding = { updatedAt = "epoch_ms", createdAt = "rfc3339/s" }
skew = "1m"
tolerance = "1s"
earliest = 2020-01-01
fill = ["createdAt", "now"]
also = ["in_future"]
key = ["_id", "part"]

[[store.table]]
name = "pages"
updated = "updatedAt"
encoding = "epoch_s"

[[store]]
url = "sqlite:///other.db"

[[store.table]]
name = "services"
updated = "u"
encoding = "iso8601@Europe/Berlin"
fill = "now"
"""
HEAD = '[[store]]\nurl = "sqlite:///app.db"\n'
TABLE = HEAD + '[[store.table]]\nname = "t"\nupdated = "u"\nencoding = "epoch_ms"\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "timestamp-guard.toml"


def _problem(path: Path, text: str) -> str:
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigurationError) as problem:
        load(path)
    return str(problem.value)


def test_full(path: Path) -> None:
    """
    A file can describe several stores and tables, and everything that can be said of one.
    """
    path.write_text(FULL, "utf-8")

    services, pages, other = load(path)

    assert ("sqlite:////tmp/app.db", "services", ("_id", "part")) == (services.url, services.name, services.key)
    assert services.guard == updated_at_guard(
        "updatedAt",
        "createdAt",
        skew=timedelta(minutes=1),
        tolerance=timedelta(seconds=1),
        earliest=datetime(2020, 1, 1, tzinfo=UTC),
    )
    assert Repair("updatedAt", ("createdAt", NOW), MISSING | {"in_future"}) == services.repair
    assert {"updatedAt": Encoding.parse("epoch_ms"), "createdAt": Encoding.parse("rfc3339/s")} == services.encodings
    assert (updated_at_guard("updatedAt"), None) == (pages.guard, pages.repair)
    assert f"sqlite:///{path.parent / 'other.db'}" == other.url
    assert Repair("u", (NOW,)) == other.repair


def test_places(path: Path) -> None:
    """
    Where the tables are is said as `load` says it; a file about the code alone has none.
    """
    path.write_text(FULL, "utf-8")
    assert [(each.url, each.name) for each in load(path)] == [(each.url, each.name) for each in places(path)]

    path.write_text("[audit]\n", "utf-8")
    assert () == places(path)


@pytest.mark.parametrize(
    "said", ['"2020-01-01"', "2020-01-01", "2020-01-01T00:00:00", "2020-01-01T01:00:00+01:00", '"2020-01-01T00:00:00Z"']
)
def test_earliest(path: Path, said: str) -> None:
    """
    The earliest instant can be a date of TOML, or text; UTC where it does not say.
    """
    path.write_text(f"{TABLE}earliest = {said}\n", "utf-8")

    (table,) = load(path)

    assert updated_at_guard("u", earliest=datetime(2020, 1, 1, tzinfo=UTC)) == table.guard


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[[store]\n", "is no TOML: Expected ']]' at the end of an array declaration (at line 1"),
        ("", "describes no store; wanted [[store]]"),
        ("[[stor]]\n", "no key 'stor' in the file; did you mean 'store'?"),
        ("store = 3\n", "key 'store': wanted one or more [[store]] sections, found 3"),
        ("[[store]]\n", "[[store]] number 1: the key 'url' is missing; wanted the address of a store"),
        ("[[store]]\nurl = 3\n", "[[store]] number 1: key 'url': wanted text, found 3"),
        (HEAD, "[[store]] sqlite:///app.db: no table; wanted a [[store.table]]"),
        (HEAD + "tabel = 3\n", "no key 'tabel' in [[store]] 'sqlite:///app.db'; did you mean 'table'?"),
        (HEAD + "table = 3\n", "key 'table': wanted one or more [[store.table]] sections, found 3"),
        (HEAD + "[[store.table]]\n", "[[store.table]] number 1: the key 'name' is missing"),
        (HEAD + '[[store.table]]\nname = "t"\n', "[[store.table]] 't': the key 'updated' is missing; wanted the field"),
        (TABLE + "updatd = 3\n", "no key 'updatd' in [[store.table]] 't'; did you mean 'updated'?"),
        (TABLE + "created = 3\n", "[[store.table]] 't': key 'created': wanted text, found 3"),
        (TABLE + 'created = "u"\n', "[[store.table]] 't': in_order"),
        (TABLE + "skew = 5\n", """key 'skew': 5 has no unit; wanted a duration like "5s" or "5ms\""""),
        (TABLE + 'skew = "5x"\n', "key 'skew': cannot read '5x' as a duration"),
        (TABLE + 'skew = "-5s"\n', "[[store.table]] 't': skew is -1 day, 23:59:55, and cannot be negative"),
        (TABLE + "tolerance = true\n", "key 'tolerance': wanted text, found True"),
        (TABLE + "earliest = 5\n", "key 'earliest': wanted a date like 2000-01-01, found 5"),
        (TABLE + 'earliest = "soon"\n', "key 'earliest': cannot read 'soon' as an instant"),
        (TABLE + "fill = 3\n", "key 'fill': wanted text or a list of text, found 3"),
        (TABLE + 'fill = ["a", 3]\n', "key 'fill': wanted text or a list of text, found ['a', 3]"),
        (TABLE + 'fill = ["latest(a"]\n', "key 'fill': cannot read 'latest(a' as what to fill from"),
        (TABLE + 'fill = ["u"]\n', "[[store.table]] 't': 'u' cannot be filled from itself"),
        (TABLE + 'also = ["null"]\n', "[[store.table]] 't': also (null) says what else may be mended"),
        (TABLE + 'also = ["in_futur"]\n', "key 'also': no code 'in_futur' in what a repair may mend; did you mean"),
        (TABLE + "key = 3\n", "key 'key': wanted text or a list of text, found 3"),
        (TABLE.replace('"epoch_ms"', '"epoch_m"'), "key 'encoding': unknown encoding 'epoch_m'; wanted NAME"),
        (TABLE.replace('"epoch_ms"', "3"), """key 'encoding': wanted an encoding like "epoch_ms\""""),
        (TABLE.replace('"epoch_ms"', '{ c = "epoch_ms" }'), "[[store.table]] 't': no encoding is declared for 'u'"),
        (TABLE.replace('"epoch_ms"', "{ u = 3 }"), "key 'encoding': wanted text, found 3"),
        (TABLE + TABLE.removeprefix(HEAD), "[[store]] sqlite:///app.db: table 't' is described twice"),
    ],
)  # fmt: skip
def test_wrong(path: Path, text: str, wanted: str) -> None:
    """
    What is wrong with a file names the file, the section, the key and what was expected.
    """
    problem = _problem(path, text)

    assert str(path) in problem
    assert wanted in problem


def test_all_at_once(path: Path) -> None:
    """
    Everything that is wrong is said, a line each.
    """
    problem = _problem(path, TABLE + "skew = 5\nfil = 3\n[[store.table]]\n")

    assert ["skew", "fil", "name", "updated", "encoding"] == [
        next(word for word in ("skew", "fil'", "name'", "updated'", "encoding'") if word in line).rstrip("'")
        for line in problem.splitlines()
    ]


@pytest.mark.parametrize("bad", [b"\xff\xfe", None])
def test_unreadable(path: Path, bad: bytes | None) -> None:
    """
    A file that cannot be read is said to be so.
    """
    if bad is None:
        path.mkdir()
    else:
        path.write_bytes(bad)

    with pytest.raises(ConfigurationError, match="cannot read"):
        load(path)


def test_names_are_told(path: Path) -> None:
    """
    A table says which fields must be there: of its guard, its encodings and its key.
    """
    path.write_text(FULL, "utf-8")

    assert {"updatedAt", "createdAt", "_id", "part"} == set(load(path)[0].named())


CANDIDATES: list[tuple[str, Candidate]] = [
    ("createdAt", Field("createdAt")),
    (" created at ", Field("created at")),
    ('"now"', Field("now")),
    ('"a, (b)"', Field("a, (b)")),
    (r'"a\"b\\c"', Field('a"b\\c')),
    ("created-at", Field("created-at")),
    ("now", NOW),
    ("NOW", NOW),
    ("now - 1d", NOW - timedelta(days=1)),
    ("createdAt + 250ms", Field("createdAt") + timedelta(milliseconds=250)),
    ('"now" + 1s', Field("now") + timedelta(seconds=1)),
    ("2020-01-01", At(1_577_836_800_000_000_000)),
    ("2020-01-01T00:00:00Z + 1h", At(1_577_836_800_000_000_000) + timedelta(hours=1)),
    ("latest(a, b)", latest("a", "b")),
    ("earliest( a , now )", earliest("a", NOW)),
    ("latest(earliest(a, b), reread(c, epoch_s), now + 1s)",
     latest(earliest("a", "b"), reread("c", "epoch_s"), NOW + timedelta(seconds=1))),
    ("reread(updatedAt, epoch_s)", reread("updatedAt", "epoch_s")),
    ('reread("a, b", iso8601@Europe/Berlin)', reread("a, b", "iso8601@Europe/Berlin")),
    ("reread(u, iso8601@+02:00)", reread("u", "iso8601@+02:00")),
]  # fmt: skip


@pytest.mark.parametrize(("text", "candidate"), CANDIDATES)
def test_candidates(text: str, candidate: Candidate) -> None:
    """
    Every candidate but a function can be written down.
    """
    assert candidate == read_candidate(text)


@pytest.mark.parametrize(("_", "candidate"), [each for each in CANDIDATES if '"' not in each[0]])
def test_round_trip(_: str, candidate: Candidate) -> None:
    """
    What a plan prints can be given back to it.
    """
    assert candidate == read_candidate(str(candidate))


@pytest.mark.parametrize(
    "text",
    ["", " ", "(", "a)", "a,b", "latest", "latest(", "latest()", "latest(a", "latest(a,)", "latest(a b", "lates(a, b)",
     "reread(a)", "reread(a, epoch_s", "reread(a, epoch_s) b", "reread(, epoch_s)", '"a', '"a" b', '"a" b + 1s', "a(b)",
     "reread(a, epoch_x)", "reread((, epoch_s)", "2020-13-01", "a,", '"a" + 1s + 1s'],
)  # fmt: skip
def test_no_candidates(text: str) -> None:
    """
    Whatever else is written is refused.
    """
    if text == "latest":
        assert Field("latest") == read_candidate(text)
    else:
        with pytest.raises(UsageError):
            read_candidate(text)


def test_table_needs_encodings() -> None:
    """
    A candidate that is read needs an encoding, and a field that is read again brings its own.
    """
    table = Table.of("sqlite:///x", "t", updated="u", encoding={"u": "epoch_ms"}, fill=[reread("v", "epoch_s")])
    assert ("u",) == table.read()

    with pytest.raises(UsageError, match="no encoding is declared for 'v'"):
        Table.of("sqlite:///x", "t", updated="u", encoding={"u": "epoch_ms"}, fill=[Field("v")])

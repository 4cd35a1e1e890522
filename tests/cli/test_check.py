from pathlib import Path

import pytest

from .conftest import MEANING, URL, Cli, Rows


def test_broken(shop: Path, cli: Cli) -> None:
    """
    A broken record makes the command exit 1, with what is wrong on stdout and nothing on stderr.
    """
    said = cli("check", URL, "--table", "services", *MEANING)

    assert (1, "") == (said.code, said.err)
    assert said.out.startswith("services: 6 records, 5 broken\n")
    assert "1700000005 looks like seconds where milliseconds are stored" in said.out


def test_sound(shop: Path, cli: Cli, rows: Rows) -> None:
    """
    A sound table makes it exit 0.
    """
    rows("DELETE FROM services WHERE _id <> 'a'")

    said = cli("check", URL, "--table", "services", *MEANING)

    assert (0, "services: 1 records, all sound\n", "") == (said.code, said.out, said.err)


def test_json(shop: Path, cli: Cli) -> None:
    """
    The JSON form is the one that is documented, with extremes from a sample.
    """
    said = cli("check", URL, "--table", "services", *MEANING, "--format", "json")
    table = said.json["tables"]["services"]

    assert (1, "") == (said.code, said.err)
    assert ["ok", "now", "tables"] == list(said.json)
    assert said.json["ok"] is False
    assert said.json["now"].endswith("Z")
    assert ["records", "broken", "violations", "undecided", "fields", "samples"] == list(table)
    assert (6, 5) == (table["records"], table["broken"])
    assert {"null": 1, "placeholder": 1, "too_early": 1, "in_future": 1, "out_of_order": 2} == table["violations"]
    assert {} == table["undecided"]
    assert {
        "updatedAt": {
            "causes": {"null": 1, "placeholder": 1},
            "min": "1970-01-20T16:13:20.005Z",
            "max": "2099-01-01T00:00:00Z",
            "sampled": 6,
        },
        "createdAt": {
            "causes": {},
            "min": "2023-11-14T22:13:20Z",
            "max": "2023-11-14T22:13:20Z",
            "sampled": 6,
        },
    } == table["fields"]
    assert ["key", "code", "field", "other", "seen", "wanted", "hint"] == list(table["samples"][0])
    assert {"b", "c", "d", "e", "f"} == {each["key"] for each in table["samples"]}


def test_undecided(shop: Path, cli: Cli) -> None:
    """
    What could not be judged is counted, and fails only where that is asked for.
    """
    words = ("check", URL, "--table", "pages", "--updated", "updated_at", "--encoding", "rfc3339", "--created")
    shop_pages = (*words, "created_at", "--format", "json")

    said = cli(*shop_pages)

    assert {"created_at <= updated_at": {"unreadable": 1}} == said.json["tables"]["pages"]["undecided"]
    assert "undecided" in cli(*words, "created_at").out


def test_strict(shop: Path, cli: Cli, rows: Rows) -> None:
    """
    --strict makes what could not be judged fail.
    """
    rows("DELETE FROM pages WHERE updated_at IS NULL")
    words = ("check", URL, "--updated", "updated_at", "--created", "created_at", "--encoding", "rfc3339")

    assert [0, 1] == [cli(*words).code, cli(*words, "--strict").code]


def test_tolerance(shop: Path, cli: Cli) -> None:
    """
    --tolerance forgives a change that lies before the creation, --skew one in the future, --earliest an early one.
    """
    said = cli(
        *("check", URL, "--format", "json", *MEANING),
        *("--tolerance", "1s", "--skew", "36500d", "--earliest", "1970-01-01"),
    )

    assert {"null": 1, "placeholder": 1, "out_of_order": 1} == said.json["tables"]["services"]["violations"]


def test_every_table(shop: Path, cli: Cli, rows: Rows) -> None:
    """
    Without --table, every table that has the updated field is checked; views are none.
    """
    rows("CREATE TABLE more (id INTEGER PRIMARY KEY, updatedAt)")
    rows("CREATE VIEW seen AS SELECT updatedAt FROM more")

    said = cli("check", URL, "--updated", "updatedAt", "--encoding", "epoch_ms", "--format", "json")

    assert ["more", "services"] == sorted(said.json["tables"])


def test_repeated_table(shop: Path, cli: Cli, rows: Rows) -> None:
    """
    --table can be repeated, and the same one twice is one.
    """
    rows("CREATE TABLE more (id INTEGER PRIMARY KEY, updatedAt)")
    words = ("--updated", "updatedAt", "--encoding", "epoch_ms", "--format", "json")

    said = cli("check", URL, "--table", "more", "--table", "services", "--table", "more", *words)

    assert ["more", "services"] == list(said.json["tables"])


@pytest.mark.parametrize(
    "encodings",
    [
        ["updatedAt=epoch_ms", "createdAt=epoch_ms"],
        ["epoch_ms", "createdAt=epoch_ms/s"],
        ["epoch_ms", "epoch_ms"],
    ],
)
def test_encodings(shop: Path, cli: Cli, encodings: list[str]) -> None:
    """
    --encoding can be said for all fields, for each, and for all but some.
    """
    words = [word for each in encodings for word in ("--encoding", each)]

    said = cli("check", URL, "--updated", "updatedAt", "--created", "createdAt", *words, "--format", "json")

    assert 6 == said.json["tables"]["services"]["records"]


def test_mismatch(shop: Path, cli: Cli, rows: Rows) -> None:
    """
    An encoding that the column does not hold is refused, with the share that does not fit and with what would.
    """
    rows("DELETE FROM services")
    rows(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) "
        "INSERT INTO services SELECT i, 1700000000000 + i, 1700000000000 + i FROM n"
    )

    said = cli("check", URL, "--updated", "updatedAt", "--encoding", "epoch_s")

    assert 2 == said.code
    assert "100% of 50 sampled values do not fit" in said.err
    assert "declare updatedAt=epoch_ms" in said.err


@pytest.mark.parametrize("command", ["check", "plan", "runs"])
def test_only_reads(shop: Path, cli: Cli, command: str) -> None:
    """
    What only looks changes no byte and makes no file.
    """
    before = shop.read_bytes()
    words = {"check": MEANING, "plan": (*MEANING, "--fill", "createdAt"), "runs": ()}[command]

    said = cli(command, URL, *words)

    assert "" == said.err
    assert before == shop.read_bytes()
    assert [shop] == list(shop.parent.iterdir())

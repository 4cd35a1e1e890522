"""
Files of JSON as people have them: permissions, links, packed ones, other writers, bad input, and the command line.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from timestamp_guard import NOW as PRESENT
from timestamp_guard import (
    Repair,
    backfill,
    by,
    check,
    in_order,
    open_store,
    plan,
    present,
    profile,
    reread,
    rollback,
    runs,
    updated_at_guard,
    violations,
)
from timestamp_guard.engine.walk import Progress
from timestamp_guard.errors import (
    LedgerError,
    NoIdentity,
    RunBusy,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreMissing,
    StoreReadOnly,
    UnknownName,
    UsageError,
)
from timestamp_guard.instants import parse_instant
from timestamp_guard.ledger import Run
from timestamp_guard.repairs import MISSING
from timestamp_guard.stores import addresses, tables
from timestamp_guard.stores.base import OpenStore, Step
from timestamp_guard.stores.json import rewriting as json_store

NOW: Final = parse_instant("2024-06-01T12:00:00Z")
GUARD: Final = updated_at_guard("updatedAt", "createdAt")
REPAIR: Final = Repair("updatedAt", ("createdAt",))
T: Final = 1_700_000_000_000

SPACED: Final = '{"_id": "a", "createdAt": 1700000000000, "updatedAt": null}\n{"_id": "b",  "createdAt": 1.7e12}\n'
FILLED: Final = (
    '{"_id": "a", "createdAt": 1700000000000, "updatedAt": 1700000000000}\n'
    '{"_id": "b",  "createdAt": 1.7e12,  "updatedAt": 1.7e12}\n'
)


def made(path: Path, text: str = SPACED) -> Path:
    path.write_text(text, "utf-8")
    return path


def opened(path: Path, key: str | None = "_id", **how: Any) -> OpenStore:
    scheme = "jsonl" if ".jsonl" in path.suffixes else "json"
    return open_store(f"{scheme}:{path}", **({"encodings": "epoch_ms", "key": key} | how))


def fill(path: Path, repair: Repair = REPAIR, key: str | None = "_id", **how: Any) -> Run:
    with opened(path, key) as store:
        return backfill(store, GUARD, repair, **({"now": NOW} | how))


def take_back(path: Path, number: int | None = None) -> Run:
    with opened(path) as store:
        return rollback(store, number, now=NOW)


def once(act: Any) -> Progress:
    """Do something after the first step."""
    acts = iter([act])

    def progress(_: Step) -> None:
        for each in acts:
            each()

    return progress


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A run says how far it is after every stretch, and stretches are short.
    """
    monkeypatch.setattr(json_store, "STRIDE", 1)
    monkeypatch.setattr("timestamp_guard.stores.json.blocks.SIZE", 64)


# -- bytes ------------------------------------------------------------------------------------------------------


def test_only_the_bytes(tmp_path: Path) -> None:
    """
    Only what was wrong changes; a member that was not there comes last, spaced like its neighbours.
    """
    path = made(tmp_path / "records.jsonl")

    run = fill(path)
    filled = path.read_text("utf-8")
    back = take_back(path)

    assert ("complete", 2) == (run.status, run.counts.changed)
    assert FILLED == filled
    assert ("complete", 2) == (back.status, back.counts.changed)
    assert SPACED == path.read_text("utf-8")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[]", "[]"),
        ('{"createdAt":1700000000000}', '{"createdAt":1700000000000,"updatedAt":1700000000000}'),
        (
            '{"x": {"createdAt": 1700000000000, "n": [1, {}]}, "y": {"createdAt": 1700000000000}}\n',
            (
                '{"x": {"createdAt": 1700000000000, "n": [1, {}], "updatedAt": 1700000000000}, '
                '"y": {"createdAt": 1700000000000, "updatedAt": 1700000000000}}\n'
            ),
        ),
        (
            '[\n\t{\n\t\t"createdAt" : 1700000000000\n\t}\n]\n',
            '[\n\t{\n\t\t"createdAt" : 1700000000000,\n\t\t"updatedAt" : 1700000000000\n\t}\n]\n',
        ),
        (
            '[{"updatedAt":null,"createdAt":1700000000000,"updatedAt":null}]',
            '[{"updatedAt":null,"createdAt":1700000000000,"updatedAt":1700000000000}]',
        ),
        (
            r'[{"createdAt":1700000000000,"\u0075pdatedAt":null,"s":"\ud800","t":"\"updatedAt\":null"}]',
            r'[{"createdAt":1700000000000,"\u0075pdatedAt":1700000000000,"s":"\ud800","t":"\"updatedAt\":null"}]',
        ),
        (
            '[{"o":{"updatedAt":null},"createdAt":1700000000000,"updatedAt":1E3,"n":-0,"m":1e400}]',
            '[{"o":{"updatedAt":null},"createdAt":1700000000000,"updatedAt":1700000000000,"n":-0,"m":1e400}]',
        ),
    ],
)
def test_forms(tmp_path: Path, before: str, after: str) -> None:
    """
    Whatever the form and the spelling, everything else stays, and a rollback gives the identical file.
    """
    path = made(tmp_path / "records.json", before)
    fill(path, Repair("updatedAt", ("createdAt",), MISSING | {"too_early"}), key=None)

    filled = path.read_text("utf-8")
    take_back(path)

    assert after == filled
    assert before == path.read_text("utf-8")


def test_long_and_odd_values(tmp_path: Path) -> None:
    """
    A value that was an object over several lines, or a number of thousands of digits, is given back to the byte.
    """
    text = json.dumps([{"createdAt": T, "updatedAt": {"a": [1, "\t"]}}], indent=2)
    text = text[:-1].rstrip() + ', {"createdAt": 1700000000000, "updatedAt": ' + "9" * 5000 + "}]\r\n"
    path = made(tmp_path / "records.json", text)
    repair = Repair("updatedAt", ("createdAt",), MISSING | {"wrong_type", "imprecise"})

    run = fill(path, repair, key=None)
    with opened(path, None) as store:
        befores = [change.before for _, change in store.ledger.changes(run)]
    take_back(path)

    assert 2 == run.counts.changed
    assert {"a": [1, "\t"]} == befores[1]
    assert text.encode() == path.read_bytes()


def test_nested(tmp_path: Path) -> None:
    """
    A field of an object in the record is named by its path; where that object is not, nothing is written.
    """
    text = '{"id":1,"meta":{"createdAt":1700000000000}}\n{"id":2,"meta":null,"m.x":1}\n{"id":3,"meta":{}}\n'
    path = made(tmp_path / "records.jsonl", text)
    guard = updated_at_guard("meta.updatedAt", "meta.createdAt")
    repair = Repair("meta.updatedAt", ("meta.createdAt", PRESENT))

    with opened(path, "id") as store:
        found = check(store, guard, now=NOW)
        run = backfill(store, guard, repair, now=NOW)
        filled = path.read_text("utf-8")
        rollback(store, now=NOW)

    assert {"missing": 3} == found.violations
    assert (2, 1, "incomplete") == (run.counts.changed, run.counts.unrepairable, run.status)
    assert [
        '{"id":1,"meta":{"createdAt":1700000000000,"updatedAt":1700000000000}}',
        '{"id":2,"meta":null,"m.x":1}',
        f'{{"id":3,"meta":{{"updatedAt":{NOW // 10**6}}}}}',
    ] == filled.splitlines()
    assert text == path.read_text("utf-8")


def test_nested_everywhere(tmp_path: Path) -> None:
    """
    Fields of objects are found by their path wherever records are read: one by one, for a function, as a profile.
    """
    path = made(
        tmp_path / "records.jsonl",
        '{"meta":{"updatedAt":null,"since":1700000000000}}\n{"m.x":5,"meta":{"updatedAt":7}}\n',
    )
    guard = present("meta.updatedAt") & in_order(parse_at("2000-01-01"), "m\\.x")

    def since(record: Any) -> datetime:
        return datetime.fromtimestamp(record["meta"]["since"] / 1000, UTC)

    with opened(path, None) as store:
        found = [(each.key, str(each.violation.code)) for each in violations(store, guard, now=NOW)]
        described = profile(store, ["meta.updatedAt", "m\\.x"], now=NOW)
        run = backfill(store, present("meta.updatedAt"), Repair("meta.updatedAt", (by("since", since),)), now=NOW)

    assert [(1, "null"), (2, "too_early")] == found
    assert (1, 1) == (described["meta.updatedAt"].present, described["m\\.x"].present)
    assert (1, '{"meta":{"updatedAt":1700000000000,"since":1700000000000}}') == (
        run.counts.changed,
        path.read_text("utf-8").splitlines()[0],
    )


def parse_at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_reread(tmp_path: Path) -> None:
    """
    Other repairs than the usual write the same way.
    """
    path = made(tmp_path / "records.jsonl", '{"createdAt": 1700000000000, "updatedAt": 1700000005}\n')

    run = fill(path, Repair("updatedAt", (reread("updatedAt", "epoch_s"),), MISSING | {"too_early"}), key=None)

    assert run.ok
    assert '{"createdAt": 1700000000000, "updatedAt": 1700000005000}\n' == path.read_text("utf-8")


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_packed(tmp_path: Path, suffix: str) -> None:
    """
    A packed file is unpacked to be read, and packed again as a whole; what it holds is given back.
    """
    path = tmp_path / f"records.jsonl{suffix}"
    if suffix == ".gz":
        pack, unpack = gzip.compress, gzip.decompress
    else:
        zstd = pytest.importorskip("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
        pack, unpack = zstd.compress, zstd.decompress
    path.write_bytes(pack(SPACED.encode()))

    assert fill(path).ok
    assert FILLED == unpack(path.read_bytes()).decode()
    assert take_back(path).ok
    assert SPACED == unpack(path.read_bytes()).decode()

    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(StoreDamaged, match="is packed and damaged"), opened(path) as store:
        check(store, GUARD)


def test_nonfinite(tmp_path: Path) -> None:
    """
    NaN and Infinity are no JSON; let be, they are values like others, and never altered.
    """
    text = '{"createdAt": 1700000000000, "updatedAt": NaN}\n{"createdAt": 1700000000000, "price": -Infinity}\n'
    path = made(tmp_path / "records.jsonl", text)

    with (
        opened(path, None) as store,
        pytest.raises(StoreDamaged, match="line 1, column 43: wanted a number, found NaN, which is no JSON"),
    ):
        check(store, GUARD)
    with opened(path, None, nonfinite=True) as store:
        assert {"not_finite": 1, "missing": 1} == check(store, GUARD).violations
        backfill(store, GUARD, REPAIR, now=NOW)
    assert text.replace("-Infinity}", '-Infinity, "updatedAt": 1700000000000}') == path.read_text("utf-8")


# -- the file itself --------------------------------------------------------------------------------------------


def test_rights_and_links(tmp_path: Path) -> None:
    """
    The file keeps its mode, a symbolic link stays one, and a file with two names is refused.
    """
    path = made(tmp_path / "records.jsonl")
    path.chmod(0o640)
    link = tmp_path / "link.jsonl"
    link.symlink_to(path)

    fill(link)
    assert (0o640, True, FILLED) == (path.stat().st_mode & 0o777, link.is_symlink(), path.read_text("utf-8"))

    (tmp_path / "other.jsonl").hardlink_to(path)
    with pytest.raises(UsageError, match=r"has 2 names \(hard links\)"):
        take_back(path)
    assert FILLED == path.read_text("utf-8")


@pytest.mark.usefixtures("small_steps")
def test_appended_meanwhile(tmp_path: Path) -> None:
    """
    A file that somebody else changed while it was read is left to them.
    """
    path = made(tmp_path / "records.jsonl", SPACED * 20)
    more = '{"_id": "new"}\n'

    def append() -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(more)

    with pytest.raises(StoreError, match="was changed by somebody else while it was read; nothing of it was touched"):
        fill(path, progress=once(append))

    assert SPACED * 20 + more == path.read_text("utf-8")
    assert ["lock", "run-1.changes", "run-1.json"] == sorted(
        each.name for each in (tmp_path / "records.jsonl.timestamp-guard").iterdir()
    )
    assert "incomplete" == fill(path).status
    assert (FILLED * 20 + more) == path.read_text("utf-8")


@pytest.mark.usefixtures("small_steps")
def test_one_at_a_time(tmp_path: Path) -> None:
    """
    A second run on the file is refused, naming who works on it; a check is not.
    """
    path = made(tmp_path / "records.jsonl", SPACED * 20)

    def another() -> None:
        with pytest.raises(RunBusy, match=f"is being worked on by process {os.getpid()}"):
            fill(path)
        with opened(path) as store:
            assert 40 == check(store, GUARD).broken

    assert fill(path, progress=once(another)).ok


@pytest.mark.usefixtures("small_steps")
def test_interrupted(tmp_path: Path) -> None:
    """
    Interrupted, nothing was changed, and the next call does it all; or a rollback ends it.
    """
    path = made(tmp_path / "records.jsonl", SPACED * 20)

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill(path, progress=once(stop))
    assert SPACED * 20 == path.read_text("utf-8")
    assert 0 == take_back(path).counts.changed

    with pytest.raises(KeyboardInterrupt):
        fill(path, progress=once(stop))
    run = fill(path)
    assert (40, True) == (run.counts.changed, run.ok)
    assert FILLED * 20 == path.read_text("utf-8")


def test_changed_since(tmp_path: Path) -> None:
    """
    In a file that was changed since, records are given back by their key, where they hold what was written.
    """
    path = made(tmp_path / "records.jsonl", SPACED + SPACED.replace('"a"', '"c"').replace('"b"', '"d"'))
    run = fill(path)
    lines = path.read_text("utf-8").splitlines(keepends=True)
    theirs = [lines[3], '{"_id": "new"}\n', lines[0].replace('"updatedAt": 17', '"updatedAt": 18'), lines[1]]
    made(path, "".join(theirs))

    back = take_back(path)

    assert ("incomplete", 2, 2) == (back.status, back.counts.changed, back.counts.refused)
    assert [
        SPACED.splitlines(keepends=True)[1].replace('"b"', '"d"'),
        *theirs[1:3],
        SPACED.splitlines(keepends=True)[1],
    ] == (path.read_text("utf-8").splitlines(keepends=True))
    assert 4 == run.counts.changed


def test_keys_that_are_there_twice(tmp_path: Path) -> None:
    """
    Of two records with one key nobody knows which was changed: neither is.
    """
    path = made(tmp_path / "records.jsonl")
    fill(path)
    text = path.read_text("utf-8") + path.read_text("utf-8").splitlines(keepends=True)[0]
    made(path, text)

    back = take_back(path)

    assert (1, 1) == (back.counts.changed, back.counts.refused)
    assert text.splitlines()[0] == path.read_text("utf-8").splitlines()[0] == path.read_text("utf-8").splitlines()[2]


def test_no_key(tmp_path: Path) -> None:
    """
    Without a key, changes are taken back while the file is as the run left it, and not after that.
    """
    path = made(tmp_path / "records.jsonl")
    fill(path, key=None)
    text = path.read_text("utf-8") + "\n"
    made(path, text)

    with pytest.raises(NoIdentity, match="no key by which they could be found again: nothing was taken back"):
        take_back(path)
    assert text == path.read_text("utf-8")

    made(path, text[:-1])
    assert take_back(path).ok
    assert SPACED == path.read_text("utf-8")


def test_rows_of_a_table_have_no_ids(tmp_path: Path) -> None:
    """
    The rows of a table in an array are not taken for one another when somebody puts one before them.
    """
    row = '{"createdAt": 1700000000000}'
    path = made(tmp_path / "all.json", f'{{"services": [{row}]}}')
    fill(path, key=None)
    theirs = path.read_text("utf-8").replace("[", '[{"createdAt": 1700000000000, "updatedAt": 1700000000000}, ')
    made(path, theirs)

    with pytest.raises(NoIdentity, match="nothing was taken back"):
        take_back(path)
    assert theirs == path.read_text("utf-8")
    assert 1 == len(fill_again(path).ledger.runs())


def fill_again(path: Path) -> OpenStore:
    """A refused rollback is in nobody's way."""
    with opened(path, None) as store:
        assert backfill(store, GUARD, REPAIR, now=NOW).id is None
        return store


def test_changed_after_all_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A file that changed at the last moment is left alone, and the next call begins anew.
    """
    path = made(tmp_path / "records.jsonl")

    def append(name: str) -> None:
        if name == json_store.PROMISED and not path.read_text("utf-8").endswith("\n\n"):
            made(path, SPACED + "\n")

    monkeypatch.setattr("timestamp_guard._faults.hook", append)
    with pytest.raises(StoreError, match="was changed by somebody else"):
        fill(path)
    assert SPACED + "\n" == path.read_text("utf-8")

    assert fill(path).ok
    assert FILLED + "\n" == path.read_text("utf-8")


def test_secrets_stay_secret(tmp_path: Path) -> None:
    """
    What a ledger holds nobody else can look into.
    """
    path = made(tmp_path / "records.jsonl")
    path.chmod(0o600)

    fill(path, backup=tmp_path / "kept.jsonl")

    assert 0o700 == (tmp_path / "records.jsonl.timestamp-guard").stat().st_mode & 0o777
    assert 0o600 == (tmp_path / "kept.jsonl").stat().st_mode & 0o777


def test_wrapped(tmp_path: Path) -> None:
    """
    Records in an envelope are reached by the name that they have in it; and what a ledger holds is no data.
    """
    path = made(tmp_path / "page.json", '{"count": 1, "items": [{"createdAt": 1700000000000}]}')

    with opened(path, None, table="items") as store:
        assert ("items", 1) == (store.name, backfill(store, GUARD, REPAIR, now=NOW).counts.changed)
    assert '{"count": 1, "items": [{"createdAt": 1700000000000, "updatedAt": 1700000000000}]}' == path.read_text(
        "utf-8"
    )
    assert [f"json:{path}"] == addresses(f"json:{tmp_path}/**/*.json")


def test_read_only_by_choice(tmp_path: Path) -> None:
    """
    A store that was opened to be read is not written.
    """
    path = made(tmp_path / "records.jsonl")

    with opened(path, read_only=True) as store, pytest.raises(StoreReadOnly, match="opened to be read only"):
        backfill(store, GUARD, REPAIR, now=NOW)
    assert SPACED == path.read_text("utf-8")


@pytest.mark.parametrize("text", ['[{"a": 1},]', '{"x": {"a": 1},}', "[" * 5000 + "]" * 5000, '[{"a": ' + "[" * 5000])
def test_more_that_is_no_json(tmp_path: Path, text: str) -> None:
    """
    Commas without a record after them, and what is nested too deeply, are told.
    """
    path = made(tmp_path / "records.json", text)

    with pytest.raises(StoreDamaged, match="records.json, line 1, column"), opened(path, None) as store:
        check(store, GUARD)


def test_lacking_key(tmp_path: Path) -> None:
    """
    A record that is to be changed and has no key ends the run before anything is written.
    """
    path = made(tmp_path / "records.jsonl", SPACED + '{"createdAt": 1700000000000}\n')

    with pytest.raises(NoIdentity, match="record 3 has no key _id"):
        fill(path)
    assert SPACED in path.read_text("utf-8")


def test_both_and_neither(tmp_path: Path) -> None:
    """
    A run whose end nobody recorded is over if the file is what it makes, and stuck if it is neither that nor what it was.
    """
    path = made(tmp_path / "records.jsonl")
    run = fill(path)
    stated = path.with_name("records.jsonl.timestamp-guard") / "run-1.json"
    said = json.loads(stated.read_text("utf-8"))
    said["run"] |= {"status": "running", "finished": None, "cursor": None}
    stated.write_text(json.dumps(said), "utf-8")
    kept = path.read_text("utf-8")

    made(path, kept + "\n")
    with pytest.raises(StoreError, match="neither what run 1 found nor what it makes: .* take run 1 back"):
        fill(path)
    made(path, kept)

    again = fill(path)
    assert (run.id, "complete", 2) == (again.id, again.status, again.counts.changed)
    assert kept == path.read_text("utf-8")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("{", "is damaged: run-1.json cannot be read"),
        ('{"version": 2}', "is of version 2, and this release knows 1"),
        ('{"version": 1}', "is damaged"),
    ],
)
def test_damaged_ledger(tmp_path: Path, damage: str, said: str) -> None:
    """
    A ledger that cannot be read is told, and nothing is written.
    """
    path = made(tmp_path / "records.jsonl")
    fill(path)
    (tmp_path / "records.jsonl.timestamp-guard" / "run-1.json").write_text(damage, "utf-8")

    for act in (take_back, fill):
        with pytest.raises(LedgerError, match=said):
            act(path)
    assert FILLED == path.read_text("utf-8")


def test_damaged_changes(tmp_path: Path) -> None:
    """
    Changes that do not give back what the run found are not used.
    """
    path = made(tmp_path / "records.jsonl")
    fill(path)
    changes = tmp_path / "records.jsonl.timestamp-guard" / "run-1.changes"
    text = changes.read_text("utf-8")

    changes.write_text(text.replace("null", "17", 1), "utf-8")
    with pytest.raises(StoreDamaged, match="does not give back what run 1 found: nothing was touched"):
        take_back(path)
    changes.write_text("nonsense\n", "utf-8")
    with pytest.raises(LedgerError, match="is damaged: run-1.changes cannot be read"):
        take_back(path)
    assert FILLED == path.read_text("utf-8")


def test_backup(tmp_path: Path) -> None:
    """
    A backup is the file as it was; where something is already, none is made.
    """
    path = made(tmp_path / "records.jsonl")

    fill(path, backup=tmp_path / "kept.jsonl")
    assert SPACED == (tmp_path / "kept.jsonl").read_text("utf-8")
    with opened(path) as store:
        with pytest.raises(UsageError, match="there is a file .* already"):
            store.backup(tmp_path / "kept.jsonl")
        with pytest.raises(StoreMissing, match="there is no folder"):
            store.backup(tmp_path / "not" / "kept.jsonl")


def test_plan_and_runs_make_nothing(tmp_path: Path) -> None:
    """
    A look makes no ledger.
    """
    path = made(tmp_path / "records.jsonl")

    with opened(path) as store:
        planned = plan(store, GUARD, REPAIR, now=NOW)
        listed = runs(store)

    assert (2, []) == (planned.work, listed)
    assert ["a", "b"] == [change.key for change in planned.samples]
    assert [path] == list(tmp_path.iterdir())


@contextlib.contextmanager
def tiny(folder: Path, size: int) -> Iterator[Path]:
    """A disk of so many kilobytes."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "none", str(folder)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount, and not everywhere")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize(
    ("size", "said"), [(3000, "no room for a second records.jsonl"), (4100, "no room left to write")]
)
def test_full(tmp_path: Path, size: int, said: str) -> None:
    """
    A full disk is found before anything is written, or leaves the file as it was.
    """
    text = SPACED * 15_000
    with tiny(tmp_path / "small", size) as folder:
        path = made(folder / "records.jsonl", text)
        with pytest.raises(StoreFull, match=said):
            fill(path, key=None)
        assert text == path.read_text("utf-8")
        assert not (folder / "records.jsonl.timestamp-guard" / "new").exists()


def test_read_only(tmp_path: Path) -> None:
    """
    A folder that can only be read: a check goes, a backfill says what it needs.
    """
    if not os.geteuid():
        pytest.skip("root may write what is read-only")
    path = made(tmp_path / "records.jsonl")
    tmp_path.chmod(0o500)
    try:
        with opened(path) as store:
            assert 2 == check(store, GUARD).broken
        with pytest.raises(StoreReadOnly, match="make it writable"):
            fill(path)
    finally:
        tmp_path.chmod(0o700)


# -- bad input --------------------------------------------------------------------------------------------------

BAD: Final[Sequence[tuple[str, bytes, str]]] = [
    (
        "cut.jsonl",
        b'{"updatedAt": 1}\n{"updatedAt": "20',
        r"line 2, column 15: wanted the end of the text that begins here",
    ),
    ("middle.jsonl", b'{"updatedAt": 1}\n{"updatedAt" 1}\n{}\n', r"line 2, column 14: wanted a colon, found '1}'"),
    ("two.jsonl", b'{"updatedAt": 1} {"updatedAt": 2}\n', r"line 1, column 18: wanted the end"),
    (
        "number.jsonl",
        b'{"updatedAt": 1}\n7\n',
        r"line 2, column 1: wanted a record, which is an object, found a number",
    ),
    ("bytes.jsonl", b'{"updatedAt": 1}\n{"x": "\xff"}\n', r"line 2, column 8: wanted UTF-8, found the byte 0xff"),
    (
        "cut.json",
        b'[{"updatedAt": 1},\n {"updatedAt": 2}',
        r"line 2, column 18: wanted a comma, or the end of the array",
    ),
    (
        "comma.json",
        b'[{"updatedAt": 1}\n {"updatedAt": 2}]',
        r"line 2, column 2: wanted a comma, or the end of the array",
    ),
    ("after.json", b'[{"updatedAt": 1}]\n\n!', r"line 3, column 1: wanted the end"),
    ("roots.json", b'{"updatedAt": 1}\n{"updatedAt": 2}\n', r"line 2, column 1: wanted the end, found .* say jsonl:"),
    (
        "list.json",
        b'[{"updatedAt": 1}, [2]]',
        r"line 1, column 20: wanted a record, which is an object, found an array",
    ),
    ("empty.json", b"", r"line 1, column 1: wanted an array, or an object of records, found the end"),
    ("text.json", "\ufeff\n \u00e9".encode(), r"line 2, column 2: wanted an array, or an object of records"),
]


@pytest.mark.parametrize(("name", "content", "said"), BAD, ids=[name for name, _, _ in BAD])
def test_not_json(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    """
    What is wrong with a file is said with its line and column; nothing is written.
    """
    path = tmp_path / name
    path.write_bytes(content)

    for act in (lambda store: check(store, GUARD), lambda store: backfill(store, GUARD, REPAIR)):
        with pytest.raises(StoreDamaged, match=f"{name}, {said}"), opened(path, None) as store:
            act(store)
    assert content == path.read_bytes()


def test_a_fault_far_inside(tmp_path: Path) -> None:
    """
    A fault behind what is read at once is told with its place too, and a run that meets it leaves the file alone.
    """
    rows = "".join(f'{{"_id": {n}, "createdAt": 1700000000000, "note": "{"x" * 100}"}}\n' for n in range(20_000))
    path = made(tmp_path / "records.jsonl", rows + "{]\n" + rows)

    with pytest.raises(StoreDamaged, match="line 20001, column 2: wanted a key in double quotes"):
        fill(path)
    assert rows + "{]\n" + rows == path.read_text("utf-8")


def test_tables(tmp_path: Path) -> None:
    """
    A file of tables is asked for one of them; a pattern stands for files.
    """
    path = made(tmp_path / "all.json", '{"pages": [{"createdAt": 1700000000000}], "posts": {}}')
    made(tmp_path / "one.json", '[{"createdAt": 1700000000000}]')

    assert ["pages", "posts"] == tables(f"json:{path}")
    assert ["one"] == tables(f"json:{tmp_path}/one.json")
    assert [f"json:{tmp_path}/all.json", f"json:{tmp_path}/one.json"] == addresses(f"json:{tmp_path}/*.json")
    with pytest.raises(UsageError, match=r"which table of .*all.json\? there is pages, posts"):
        opened(path)
    with pytest.raises(UnknownName, match="no table 'pags' in .*all.json; did you mean 'pages'"):
        opened(path, table="pags")
    with pytest.raises(StoreMissing, match="no file is called"):
        addresses(f"json:{tmp_path}/*.jsonl")
    with pytest.raises(StoreMissing, match="is a folder"):
        opened(tmp_path)
    with opened(path, None, table="pages") as store:
        assert backfill(store, GUARD, REPAIR, now=NOW).ok
    assert '{"pages": [{"createdAt": 1700000000000,"updatedAt": 1700000000000}], "posts": {}}' == path.read_text(
        "utf-8"
    ).replace(', "updatedAt"', ',"updatedAt"')


def test_encodings(tmp_path: Path) -> None:
    """
    JSON has no datetimes, and a field whose name is a slip is not missing everywhere.
    """
    path = made(tmp_path / "records.jsonl")

    with pytest.raises(UsageError, match="JSON has no type for datetimes"):
        opened(path, encodings="datetime")
    with opened(path) as store, pytest.raises(UnknownName, match="did you mean 'updatedAt'"):
        check(store, updated_at_guard("updated_at"))


def test_copy_of_a_run(tmp_path: Path) -> None:
    """
    A file that is copied with its ledger has a way back too.
    """
    path = made(tmp_path / "records.jsonl")
    fill(path)
    shutil.copytree(tmp_path, tmp_path.with_name("copy"))

    take_back(tmp_path.with_name("copy") / "records.jsonl")

    assert SPACED == (tmp_path.with_name("copy") / "records.jsonl").read_text("utf-8")


def test_alike_records(tmp_path: Path) -> None:
    """
    Of records that are alike the one is filled that lacks the value, and an object in another keeps its own.
    """
    lines = [
        '{"createdAt": 1700000000000, "updatedAt" : null}',
        '{"createdAt": 1700000000000, "updatedAt": 1700000000000, "old": {"updatedAt":null}}',
    ]
    path = made(tmp_path / "records.jsonl", "\n".join(lines) + "\n")

    fill(path, key=None)

    assert [lines[0].replace("null", "1700000000000"), lines[1]] == path.read_text("utf-8").splitlines()

    both = '{"createdAt": 1700000000000, "updatedAt": null, "x": [{"updatedAt": null}]}'
    sound = '{"createdAt": 1700000000000, "updatedAt": 1700000000000}'
    text = f"{sound}\n\n{lines[1]}\n\n{both}\n"  # an empty line counts for none
    fill(made(path, text), key=None)

    assert text.replace('updatedAt": null, "x"', 'updatedAt": 1700000000000, "x"') == path.read_text("utf-8")


def test_a_file_and_its_ledger_move(tmp_path: Path) -> None:
    """
    Runs go with the file and its folder, whatever the two are called then.
    """
    path = made(tmp_path / "a.jsonl")
    fill(path)
    moved = path.rename(tmp_path / "b.jsonl")
    (tmp_path / "a.jsonl.timestamp-guard").rename(tmp_path / "b.jsonl.timestamp-guard")

    assert 2 == take_back(moved).counts.changed
    assert SPACED == moved.read_text("utf-8")


def test_a_backup_takes_nobodys_name(tmp_path: Path) -> None:
    """
    A backup is made under a name that nobody has, and leaves others alone.
    """
    path = made(tmp_path / "s.jsonl.part")
    with open_store(f"jsonl:{path}", encodings="epoch_ms", key="_id") as store:
        store.backup(tmp_path / "s.jsonl")

    assert (SPACED, SPACED) == (path.read_text("utf-8"), (tmp_path / "s.jsonl").read_text("utf-8"))
    assert 2 == len(list(tmp_path.iterdir()))


@pytest.mark.parametrize("point", ["json: copy written", "json: intent recorded"])
@pytest.mark.parametrize("act", ["fill", "take back"])
@pytest.mark.parametrize("key", ["_id", None])
def test_edited_or_stopped_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str, point: str, key: str | None
) -> None:
    """
    An edit by another, or Ctrl-C, at the last moments leaves nothing behind that keeps the next call from going on.
    """
    for problem in (None, KeyboardInterrupt()):
        path = made(tmp_path / f"{problem!r}.jsonl")
        if act == "take back":
            fill(path, key=key)
        edited: list[str] = []

        def hook(name: str, path: Path = path, problem: BaseException | None = problem, edited: Any = edited) -> None:
            if name == point and not edited:
                edited.append(path.read_text("utf-8"))
                path.write_text(edited[0] + "\n", "utf-8")
                if problem is not None:
                    raise problem

        with monkeypatch.context() as patch:
            patch.setattr("timestamp_guard._faults.hook", hook)
            with pytest.raises((StoreError, KeyboardInterrupt)):
                fill(path, key=key) if act == "fill" else take_back(path)
        assert edited[0] + "\n" == path.read_text("utf-8")

        if act == "take back" and key is None:
            with pytest.raises(NoIdentity):
                take_back(path)
            made(path, edited[0])
        if act == "fill":
            assert fill(path, key=key).ok
            assert FILLED + "\n" == path.read_text("utf-8")
        assert take_back(path).ok
        assert SPACED == path.read_text("utf-8").rstrip("\n") + "\n"


def test_kills_of_two_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A run that was put in place is taken back, though a rollback of it was killed before it could put anything there.
    """
    path = made(tmp_path / "records.jsonl")
    kept = path.with_name(path.name + ".timestamp-guard")

    class Killed(BaseException):
        pass

    def killed_at(point: str) -> None:
        """All that a process does when it is killed is nothing: undo what it would do on its way out."""

        def hook(name: str) -> None:
            if name == point:
                shutil.copytree(tmp_path, tmp_path.with_name("frozen"), dirs_exist_ok=True)
                raise Killed

        monkeypatch.setattr("timestamp_guard._faults.hook", hook)

    for act, point in ((fill, "json: file renamed"), (take_back, "json: copy written")):
        killed_at(point)
        with pytest.raises(Killed):
            act(path)
        monkeypatch.setattr("timestamp_guard._faults.hook", None)
        shutil.rmtree(kept)
        shutil.copytree(tmp_path.with_name("frozen") / kept.name, kept)

    assert 2 == take_back(path).counts.changed
    assert SPACED == path.read_text("utf-8")

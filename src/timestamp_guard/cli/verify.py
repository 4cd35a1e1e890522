"""`timestamp-guard verify`: prove that it is so."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from ..engine.verify import verify as prove
from ..errors import UsageError
from ..stores.base import Fingerprint
from ._options import ANY, UNSAID, Chosen, Form, Meaning, Url
from ._output import Outcome, say, say_json
from ._targets import targets

__all__ = ["verify"]


def verify(
    url: Url = None,
    /,
    *,
    chosen: Chosen = ANY,
    meaning: Meaning = UNSAID,
    fingerprint: Annotated[
        bool,
        Parameter(
            negative="", show_default=False, help="Take a fingerprint of all other fields, to be compared later."
        ),
    ] = False,
    against: Annotated[
        str | None, Parameter(help="A fingerprint that was taken before, to be compared with; of one table.")
    ] = None,
    probe: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="Try a record without the field and one with it, in a transaction that is taken back.",
        ),
    ] = False,
    form: Form = "text",
) -> int:
    r"""Prove that it is so: every record anew, and the ledger against the data.

    Reads only, but for --probe, whose writes are taken back. Exits 1 when anything is broken, when other fields
    are not what they were, or when the store takes a record that it should refuse.

      timestamp-guard verify

      timestamp-guard verify env:DATABASE_URL --updated updated_at \
        --encoding datetime --probe
    """
    outcome = Outcome()
    expected = _read(against)
    entries: dict[str, Any] = {}
    with targets(outcome, url, chosen, meaning, write=probe) as found:
        if expected is not None and len(found) != 1:
            msg = f"--against is the fingerprint of one table, and these are {len(found)}: name one with --table"
            raise UsageError(msg)
        for target in found:
            with outcome.of(target.label):
                said = prove(
                    target.store,
                    target.table.guard,
                    target.table.updated,
                    against=expected,
                    fingerprinted=fingerprint,
                    probe=probe,
                )
                outcome.judged(ok=said.ok)
                if form == "json":
                    entries[target.label] = said.to_dict()
                else:
                    say(str(said))
    if form == "json":
        say_json({"ok": outcome.code == 0, "tables": entries})
    return outcome.code


def _read(against: str | None) -> Fingerprint | None:
    """
    A fingerprint as it was printed.

    Raises:
        UsageError: it is none.
    """
    try:
        return None if against is None else Fingerprint.parse(against)
    except ValueError:
        msg = (
            f"--against: {against!r} is no fingerprint; wanted one that verify --fingerprint printed, like 5000:1f0a..."
        )
        raise UsageError(msg) from None

"""
Whether a document that is written has the field: a :class:`Verdict`, and why, in a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from attrs import Factory, evolve, frozen

from .values import Anything, Entry, Maybe, Nothing, Only, Partial, Record, Row, Scalar, Several, Value, Without

if TYPE_CHECKING:
    from ..convex.schema import Schema

__all__ = ["Judge", "Verdict", "Word", "keys"]

Word: TypeAlias = Literal["sets", "omits", "indeterminate"]


@frozen
class Verdict:
    """What a write does with the field, and why. `removes` where it is not only left out, but taken away."""

    word: Word
    why: str
    removes: bool = False


@frozen
class Judge:
    """Judges documents by one *field*; *look* says what an expression is that was not looked at yet."""

    field: str
    schema: Schema
    look: Callable[[Value], Value]
    judged: dict[int, tuple[Value, Verdict]] = Factory(dict)
    """What was judged before, by its identity: what is put together step by step has its parts many times."""

    def verdict(self, value: Value) -> Verdict:
        """What becomes of the field where *value* is written."""
        if id(value) not in self.judged:
            self.judged[id(value)] = (value, self._verdict(self.look(value)))
        return self.judged[id(value)][1]

    def _verdict(self, value: Value) -> Verdict:
        match value:
            case Record(entries):
                return self._record(value, entries)
            case Several(values, every):
                return self._several([self.verdict(each) for each in values], every=every)
            case Row(tables):
                return self._row(tables)
            case Nothing():
                return Verdict("omits", "nothing is spread")
            case Maybe(Row(tables)):
                return self._row(tables)  # who writes a row down has seen that it is there
            case Maybe(of) | Partial(of):
                found = self.verdict(of)
                return found if found.word != "sets" else self._unsure(f"it may be left out: {found.why}")
            case Without(of, keys):
                if self.field in keys:
                    return Verdict("omits", f"{self.field} is taken out")
                return self.verdict(of)
            case Only(of, keys):
                return self.verdict(of) if self.field in keys else Verdict("omits", f"{self.field} is not taken along")
            case Anything(why):
                return self._unsure(why)
            case _:
                return self._unsure("it is no object that is written out")

    def _record(self, record: Record, entries: Sequence[Entry]) -> Verdict:
        unsure: Verdict | None = None
        for entry in reversed(entries):
            if entry.spread:
                found = self.verdict(entry.value)
            elif entry.keys is None:
                found = self._unsure("a computed key may be it")
            elif self.field not in entry.keys:
                continue
            else:
                found = self._given(entry.value)
                if len(entry.keys) > 1 and found.word == "sets":
                    found = self._unsure("a computed key may be it")
                if not entry.sure and found.word != "indeterminate":
                    found = Verdict("indeterminate", f"{found.why} in one case and not in the other", found.removes)
            if found.word == "indeterminate":
                unsure = unsure or found
            elif found.word == "sets" and not (unsure and unsure.removes):
                return found
            elif found.removes:
                return unsure or found
        where = f" at {record.place}" if record.place else ""
        return unsure or Verdict("omits", f"the object{where} has no {self.field}")

    def _given(self, value: Value) -> Verdict:
        """What is written under the name of the field itself."""
        value = self.look(value)
        match value:
            case Nothing():
                return Verdict("omits", f"{self.field} is undefined, which takes it away", removes=True)
            case Maybe(_):
                return Verdict("indeterminate", f"{self.field} may be undefined", removes=True)
            case Several(values):
                return self._several([self._given(each) for each in values], every=False)
            case _:
                return Verdict("sets", f"{self.field} is written")

    def _row(self, tables: frozenset[str]) -> Verdict:
        name = " or ".join(sorted(tables))
        found: set[str] = set()
        for each in tables:
            table = self.schema.tables.get(each)
            if table is None:
                found.add("unknown")
            elif self.field not in table.fields:
                found.add("unknown" if table.open else "absent")
            else:
                found.add("optional" if table.fields[self.field].optional else "required")
        if found == {"required"}:
            return Verdict("sets", f"it is copied from a row of {name}")
        if found == {"absent"}:
            return Verdict("omits", f"it is a row of {name}, which has no {self.field}")
        return self._unsure(f"a row of {name} may be without {self.field}")

    def _several(self, found: Sequence[Verdict], *, every: bool) -> Verdict:
        words = {each.word for each in found}
        if len(words) == 1:
            return found[0]
        if every and "omits" in words:
            at = next(place for place, each in enumerate(found) if each.word == "omits")
            return Verdict(
                "omits", f"of those that are written in turn, number {at + 1} leaves it out: {found[at].why}"
            )
        if not found:
            return self._unsure("nothing is known to be written")
        unsure = next((each for each in found if each.word == "indeterminate"), None)
        unsure = unsure or Verdict("indeterminate", "it is set in one case and not in the other")
        return evolve(unsure, removes=any(each.removes for each in found))

    @staticmethod
    def _unsure(why: str) -> Verdict:
        return Verdict("indeterminate", why)


def keys(value: Value, look: Callable[[Value], Value]) -> frozenset[str] | None:
    """All names that a document can have; None where there may be others."""
    return _Keys(look).of(value)


@frozen
class _Keys:
    look: Callable[[Value], Value]
    known: dict[int, tuple[Value, frozenset[str] | None]] = Factory(dict)

    def of(self, value: Value) -> frozenset[str] | None:
        if id(value) not in self.known:
            self.known[id(value)] = (value, self._of(self.look(value)))
        return self.known[id(value)][1]

    def _of(self, value: Value) -> frozenset[str] | None:
        match value:
            case Record(entries):
                return _all(self.of(each.value) if each.spread else each.keys for each in entries)
            case Several(values):
                return _all(map(self.of, values))
            case Maybe(of) | Partial(of):
                return self.of(of)
            case Without(of, left):
                inner = self.of(of)
                return None if inner is None else inner - left
            case Only(_, names):
                return names
            case Nothing() | Scalar():
                return frozenset()
            case _:
                return None


def _all(found: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    """All names of some parts; None where those of one are not known."""
    names: set[str] = set()
    for each in found:
        if each is None:
            return None
        names |= each
    return frozenset(names)

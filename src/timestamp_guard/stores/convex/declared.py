"""
What the schema of an app says of a table of its snapshot: which fields there are, and what can be written into them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from attrs import frozen

from ...convex.fields import FieldType, Schema, Table, encodings_of
from ...errors import UsageError
from ...instants import Encoding, Encodings

__all__ = ["Declared", "encodings_in", "schema_of"]

_WRITTEN: Final = {"bigint": "v.int64()", "any": "v.any()", "literal": "a literal"}


@frozen
class Declared:
    """What a *schema* says of the table called *name*: nothing, where there is none, or it does not know the table."""

    schema: Schema | None
    name: str

    @property
    def table(self) -> Table | None:
        """The table in the schema; a component has a schema of its own, which is not read."""
        return None if self.schema is None else self.schema.tables.get(self.name)

    @property
    def fields(self) -> Mapping[str, FieldType]:
        """The fields that the table has, or is about to have."""
        return {} if self.table is None else {**(self.table.staged or {}), **self.table.fields}

    def unsaid(self, field: str) -> bool:
        """Whether it is not known if the table has a field."""
        table = self.table
        if table is None:
            return True
        if "." in field:  # of what is in an object it is not asked
            return field.partition(".")[0] in self.fields or self.unsaid(field.partition(".")[0])
        return field not in self.fields and (table.open or field in table.untyped)

    def number(self, field: str) -> type[int | float] | None:
        """Of which kind the numbers of a field are; None where that is not said."""
        return self.fields[field].number if field in self.fields else None

    def place(self, field: str) -> str:
        """Where it is said of which type a field is, and what is said."""
        kinds = self.fields[field].kinds - {"null"}
        said = " or ".join(_WRITTEN.get(kind, f"v.{kind}()") for kind in sorted(kinds))
        return f"{said or 'v.null()'} in {self._line()}"

    def ensure_holds(self, field: str, encoding: Encoding) -> None:
        """
        Make sure that what is written into a field is what the schema lets be there.

        Raises:
            UsageError: it is not.
        """
        if self.schema is None or self.unsaid(field):
            return
        if field not in self.fields:
            if self.schema.validates:
                msg = (
                    f"{self.name} has no {field} in {self._line()}, so that an import would refuse it: add {field}: "
                    f"v.optional(v.number()) there first"
                )
                raise UsageError(msg)
            return
        type_ = self.fields[field]
        if not type_.writable(encoding):
            what = "a number" if encoding.is_number else "text"
            msg = f"{field} of {self.name} is {self.place(field)}, and {what} ({encoding}) cannot be written there"
            raise UsageError(msg)

    def remarks(self) -> Sequence[str]:
        """What could not be read in the schema, a sentence each."""
        if self.schema is None:
            return ()
        said = [str(problem) for problem in self.schema.problems]
        if self.table is not None and self.table.unknown:
            said.append(f"{self._line()}: of {self.name} could not be read: {'; '.join(self.table.unknown)}")
        return said

    def _line(self) -> str:
        return "" if self.table is None else f"{self.table.file}:{self.table.line}"


def schema_of(said: Schema | Path | str | None) -> Schema | None:
    """
    A schema that was read already, or is at that place: the folder of the functions, or the file.

    Raises:
        UsageError: there is none.
        MissingExtra: the extra `convex` is not installed.
    """
    if not isinstance(said, str | Path):
        return said
    from ...convex.schema import read_schema  # only it needs the extra

    return read_schema(Path(said))


def encodings_in(
    schema: Schema, name: str, fields: Sequence[str] | None = None, given: Encodings | None = None
) -> Encodings:
    """
    How the *fields* of the table called *name* are written, all that are known where they are None: as it is *given*, and
    else as the schema has it.

    Raises:
        UsageError: the schema does not say it of one of them.
    """
    if isinstance(given, str | Encoding):
        return given
    declared = Declared(schema, name)
    known: dict[str, str | Encoding] = {"_creationTime": "epoch_ms"}
    known |= encodings_of(declared.table) if declared.table is not None else {}
    known |= given or {}
    if fields is None:
        return known
    for field in fields:
        if field not in known:
            if field in declared.fields:
                why = f"{field} of {name} is {declared.place(field)}, which does not say how instants are written"
            else:
                why = f"{schema.file} does not say how {field} of {name} is written"
            msg = f"{why}: say its encoding, like {field}=epoch_ms or {field}=rfc3339"
            raise UsageError(msg)
    return {field: known[field] for field in (*fields, *(given or {}))}

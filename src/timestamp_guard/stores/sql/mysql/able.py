"""
What a server of MariaDB or MySQL can do with a table, asked of it before anything is done.

What differs between the two, from their documentation; MySQL was not run:

=================================  ===========================  ===========================================
what                               MariaDB 10.6 and up          MySQL 8.0 and up
=================================  ===========================  ===========================================
the shortest wait for a lock       none: `lock_wait_timeout` 0  1 s
who holds the metadata lock        a plugin, if it is there     `performance_schema.metadata_locks`
cascading keys beside `LOCK=NONE`  allowed, as tried on 10.11   refused
a TIMESTAMP made NOT NULL          COPY, as tried on 10.11      in place: no exception is written
one beside a column that is kept   COPY, as tried on 10.11      in place: no exception is written
a compressed column, NOT NULL      a default of '' is added     not there
a CHECK that is added              COPY, LOCK=SHARED            COPY; its name is one of the schema's
a column that is hidden            `INVISIBLE`                  `/*!80023 INVISIBLE */`
=================================  ===========================  ===========================================
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from attrs import frozen

from ....errors import StoreError, StoreReadOnly
from . import definition
from .server import Server
from .table import OURS, Table

__all__ = ["Able", "Before", "ensure_strict"]


@frozen
class Before:
    """A trigger before INSERT or UPDATE, in the order in which they fire; whether it does so after one of ours."""

    name: str
    event: str
    after_ours: bool


class Able:
    """What *server* can do with *table*, each asked once."""

    def __init__(self, server: Server, table: Table) -> None:
        self.server, self.table = server, table

    @functools.cached_property
    def triggers(self) -> Sequence[Before]:
        """The triggers that may change a row before it is written."""
        found: list[Before] = []
        for name, event in self.server.rows(
            "SELECT trigger_name, event_manipulation FROM information_schema.triggers WHERE event_object_schema = ? "
            "AND event_object_table = ? AND action_timing = 'BEFORE' AND event_manipulation <> 'DELETE' "
            "ORDER BY event_manipulation, action_order",
            (self.table.schema, self.table.name),
        ):
            ours = name.startswith(OURS)
            after = not ours and any(each.event == event and each.name.startswith(OURS) for each in found)
            found.append(Before(name, event, after))
        return found

    @functools.cached_property
    def shown(self) -> str:
        """The definition of the table."""
        return definition.shown(self.server, self.table)

    @functools.cached_property
    def size(self) -> tuple[int, int]:
        """About how many rows, and bytes with all indexes."""
        ((rows, size),) = self.server.rows(
            "SELECT coalesce(table_rows, 0), coalesce(data_length + index_length, 0) FROM information_schema.tables "
            "WHERE table_schema = ? AND table_name = ?",
            (self.table.schema, self.table.name),
        )
        return int(rows), int(size)

    def ensure_triggers(self) -> None:
        """
        Make sure that this user may make triggers here.

        Raises:
            StoreReadOnly: the server writes a binary log and asks for more than this user has.
        """
        ((logged, trusted),) = self.server.rows("SELECT @@GLOBAL.log_bin, @@GLOBAL.log_bin_trust_function_creators")
        if not logged or trusted:
            return
        grants = " ".join(str(grant) for (grant,) in self.server.rows("SHOW GRANTS"))
        if not re.search(r"\bSUPER\b|ALL PRIVILEGES ON \*\.\*", grants):
            raise StoreReadOnly(
                f"{self.table.called} of {self.server.label} is in a binary log, where CREATE TRIGGER needs the right SUPER: "
                f"let a user with it enforce, or SET GLOBAL log_bin_trust_function_creators = 1 for as long as it takes"
            )

    def hindrance(self, name: str) -> tuple[str, bool] | None:
        """
        Why the column *name* cannot be made NOT NULL while others write, and whether it can while they wait; None where it
        can.
        """
        if re.search(r"^\).*\bWITH SYSTEM VERSIONING\b", self.shown, re.MULTILINE):
            return "the history of its rows would be changed", False
        if self.table.column(name).base == "timestamp" and self.server.kind == "MariaDB":
            # InnoDB says that the default is not constant, even if there is none: for such a column null once meant now.
            return "MariaDB makes a TIMESTAMP NOT NULL only by copying the table", True
        if "COMPRESSED" in definition.columns(self.shown)[name]:
            return "MariaDB would give a compressed column a default of its own", False
        if re.search(r"^  (?:FULLTEXT|SPATIAL) KEY ", self.shown, re.MULTILINE):
            return "a FULLTEXT or SPATIAL index is built under a lock", True
        held = self.server.rows(
            "SELECT c.column_name FROM information_schema.columns c LEFT JOIN information_schema.statistics s "
            "USING (table_schema, table_name, column_name) WHERE c.table_schema = ? AND c.table_name = ? "
            "AND c.generation_expression <> '' AND (c.extra LIKE 'STORED%' OR s.index_name IS NOT NULL) LIMIT 1",
            (self.table.schema, self.table.name),
        )
        if held and self.server.kind == "MariaDB":
            return f"{held[0][0]} is computed and kept, and MariaDB makes it anew only by copying the table", True
        if self.server.kind == "MySQL":
            keys = self.server.rows(
                "SELECT constraint_name FROM information_schema.referential_constraints WHERE constraint_schema = ? "
                "AND table_name = ? AND ('CASCADE' IN (update_rule, delete_rule) OR 'SET NULL' IN (update_rule, delete_rule))",
                (self.table.schema, self.table.name),
            )
            if keys:
                return f"the foreign key {keys[0][0]} cascades, and MySQL has no LOCK=NONE beside that", True
        return None


def ensure_strict(server: Server) -> None:
    """
    Make sure that this very session is strict: one that is not makes 0000-00-00 of every null, and says nothing.

    Raises:
        StoreError: it is not.
    """
    ((mode,),) = server.rows("SELECT @@SESSION.sql_mode")
    if not {"STRICT_ALL_TABLES", "STRICT_TRANS_TABLES"} & set(str(mode).split(",")):
        raise StoreError(
            f"the session with {server.label} is not strict ({mode or 'no sql_mode'}): a null would become a zero date"
        )

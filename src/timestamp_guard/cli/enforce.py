"""`timestamp-guard enforce`: have the store itself refuse what the guard forbids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from ..engine import enforce as have_enforced
from ..engine import enforcement
from ..engine.enforce import described
from ..stores.base import Stage
from ._emit import alembic, sql
from ._options import ANY, NO_MENDING, UNSAID, Chosen, Form, Meaning, Mending, Url
from ._output import Outcome, say, say_json, tell
from ._targets import Target, targets

__all__ = ["enforce"]


def enforce(
    url: Url = None,
    /,
    *,
    chosen: Chosen = ANY,
    meaning: Meaning = UNSAID,
    mending: Mending = NO_MENDING,
    shown: Annotated[
        bool,
        Parameter(name="--print", negative="", show_default=False, help="Show every stage; touch nothing."),
    ] = False,
    report_only: Annotated[
        bool,
        Parameter(negative="", show_default=False, help="Count the records that would be refused; touch nothing."),
    ] = False,
    emit: Annotated[
        Literal["sql", "alembic"] | None,
        Parameter(help="Write the stages as SQL, or as a migration of Alembic, to stdout; touch nothing."),
    ] = None,
    keep_current: Annotated[
        bool,
        Parameter(negative="", show_default=False, help="Have every change of a record move the updated field on."),
    ] = False,
    keep_gate: Annotated[
        bool,
        Parameter(negative="", show_default=False, help="Go on filling new records that lack the value, for ever."),
    ] = False,
    hold_now: Annotated[
        bool,
        Parameter(negative="", show_default=False, help="Refuse values in the future too, by a trigger: no CHECK can."),
    ] = False,
    rebuild: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="Write a table anew where nothing less changes it: of SQLite, and of MariaDB and MySQL while writes wait.",
        ),
    ] = False,
    form: Form = "text",
) -> int:
    r"""Have the store itself refuse what breaks the guard.

    Goes through stages that keep nobody waiting; killed, call it again.
    What it holds is what the guard says of the updated field.
    With --fill, new records are filled by a gate from the first stage on.
    Exits 1 when records are in the way: run check and backfill first.

      timestamp-guard enforce --print

      timestamp-guard enforce postgresql://host/app --table services \
        --updated updated_at --encoding datetime --fill created_at
    """
    outcome = Outcome()
    entries: dict[str, Any] = {}
    how: dict[str, Any] = {
        "keep_current": keep_current, "keep_gate": keep_gate, "hold_now": hold_now, "rebuild": rebuild,
    }  # fmt: skip
    touches = not (shown or report_only or emit)
    with targets(outcome, url, chosen, meaning, mending, write=touches) as found:
        for target in found:
            with outcome.of(target.label):
                table = target.table
                if shown or emit:
                    stages = enforcement(target.store, table.guard, table.updated, repair=table.repair, **how)
                    entries[target.label] = {"stages": [described(stage) for stage in stages]}
                    if emit is not None:
                        say((sql if emit == "sql" else alembic)(target.label, str(table.guard), table.url, stages))
                    elif form == "text":
                        say(_printed(target, stages))
                    continue
                done = have_enforced(
                    target.store,
                    table.guard,
                    table.updated,
                    repair=table.repair,
                    report_only=report_only,
                    progress=lambda text, label=target.label: tell(f"{label}: {text}"),  # type: ignore[misc]  # bound at once
                    **how,
                )
                outcome.judged(ok=done.ok)
                entries[target.label] = done.to_dict()
                if form == "text":
                    say(str(done))
    if form == "json" and emit is None:
        say_json({"ok": outcome.code == 0, "tables": entries})
    return outcome.code


def _printed(target: Target, stages: Sequence[Stage]) -> str:
    lines = [f"{target.label}: {len(stages)} stages"]
    for number, stage in enumerate(stages, 1):
        lines.append(f"{number}. {stage.name}{' (in place)' if stage.in_place else ''}")
        lines.append(f"   lock: {stage.lock}, {stage.expected}")
        lines += [f"   {line}" for statement in stage.statements for line in f"{statement};".splitlines()]
        lines += [f"   undo: {line}" for statement in stage.undo for line in f"{statement};".splitlines()]
    return "\n".join(lines)

"""
What is read of a schema is what Convex itself makes of it: its own package runs the same files.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import hypothesis
import pytest
from hypothesis import Phase, given, settings

from timestamp_guard.convex.schema import FieldType, Schema, read_schema

from . import node
from .convex_schemas import Made, schemas

SCHEMAS: Final = node.APP / "schemas"
NAMES: Final = sorted(path.name for path in SCHEMAS.iterdir() if path.is_dir())

Fields = dict[str, tuple[frozenset[str], bool]]


def exported(folder: Path, schemas: Path) -> dict[str, Any]:
    """What `schema.export()` says of each folder of *schemas*, by name."""
    project = node.project(folder)
    shutil.copytree(schemas, project / "schemas")
    shutil.copy(node.APP / "export.mjs", project)
    files = {}
    for each in sorted((project / "schemas").iterdir()):
        found = [*each.glob("schema.[tj]s"), *each.glob("schema/index.ts")]
        files[str(found[0].relative_to(project))] = each.name
    said = json.loads(node.node("export.mjs", *files, cwd=project))
    return {name: said[file] for file, name in files.items()}


def kinds_of(type_: Mapping[str, Any]) -> frozenset[str]:
    if type_["type"] == "union":
        return frozenset[str]().union(*map(kinds_of, type_["value"]))
    return frozenset({type_["type"]})


def fields_of(document: Mapping[str, Any]) -> Fields:
    """The fields of all members of a document's type: of any of their types, and left out where one leaves it out."""
    if document["type"] == "union":
        members = [fields_of(member) for member in document["value"]]
        names = {name for member in members for name in member}
        return {
            name: (
                frozenset[str]().union(*(member[name][0] for member in members if name in member)),
                any(name not in member or member[name][1] for member in members),
            )
            for name in names
        }
    if document["type"] != "object":
        return {}
    return {name: (kinds_of(each["fieldType"]), each["optional"]) for name, each in document["value"].items()}


def officially(said: Mapping[str, Any]) -> dict[str, Any]:
    tables = {}
    for table in said["tables"]:
        staged = table.get("stagedDocumentType")
        now, next_ = fields_of(table["documentType"]), None if staged is None else fields_of(staged)
        changed = {name for name in now if next_ is not None and next_.get(name) != now[name]}
        tables[table["tableName"]] = {
            "fields": now,
            "staged": next_,
            "changed": changed,
            "open": table["documentType"]["type"] == "any",
        }
    return {"tables": tables, "validates": said["schemaValidation"]}


def plain(fields: Mapping[str, FieldType]) -> Fields:
    return {name: (each.kinds, each.optional) for name, each in fields.items()}


def as_read(schema: Schema) -> dict[str, Any]:
    tables = {
        name: {
            "fields": plain(table.fields),
            "staged": None if table.staged is None else plain(table.staged),
            "changed": {key for key, each in table.fields.items() if each.staged},
            "open": table.open,
        }
        for name, table in schema.tables.items()
    }
    return {"tables": tables, "validates": schema.validates}


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return exported(tmp_path_factory.mktemp("official") / "app", SCHEMAS)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "conditional"])
def test_as_exported(official: dict[str, Any], name: str) -> None:
    """
    Tables, fields, types, what may be left out and what is staged are what `schema.export()` says, with nothing unknown.
    """
    schema = read_schema(SCHEMAS / name)

    assert "error" not in official[name]
    assert officially(official[name]) == as_read(schema)
    assert [] == list(schema.problems)
    assert [] == [said for table in schema.tables.values() for said in table.unknown]


def test_conditional(official: dict[str, Any]) -> None:
    """
    What is known when it runs is said to be unknown; everything around it is as exported.
    """
    schema = read_schema(SCHEMAS / "conditional")
    tables = officially(official["conditional"])["tables"]

    for name, table in schema.tables.items():
        untyped = table.untyped
        assert {key: each for key, each in tables[name]["fields"].items() if key not in untyped} == plain(table.fields)
    assert {"same": frozenset(), "other": {"debug"}, "and": {"debug"}} == {
        name: table.untyped for name, table in schema.tables.items()
    }
    assert [
        "debug: schema.ts:8: production ? {} : { debug: v.string() } is known when it runs",
    ] == list(schema.tables["other"].unknown)


def test_enough() -> None:
    """
    There are at least 25 schemas, and each is compared.
    """
    assert len(NAMES) >= 25


@pytest.mark.parametrize("seed", range(2))
def test_drawn_as_exported(tmp_path: Path, seed: int) -> None:
    """
    Convex agrees with what was drawn, so that the schemas made up for the test of reading are what they are taken for.
    """
    drawn: list[Made] = []

    @given(schemas())
    @settings(max_examples=40, phases=[Phase.generate], derandomize=False, database=None)
    @hypothesis.seed(seed)
    def draw(made: Made) -> None:
        drawn.append(made)

    draw()
    for place, made in enumerate(drawn):
        made.write(tmp_path / "drawn" / f"{place:03}")
    said = exported(tmp_path / "app", tmp_path / "drawn")

    for place, made in enumerate(drawn):
        assert "error" not in said[f"{place:03}"], (said[f"{place:03}"], made.files["schema.ts"])
        tables = officially(said[f"{place:03}"])["tables"]
        assert made.tables == {name: table["fields"] for name, table in tables.items()}
        assert made.staged == {name: table["staged"] for name, table in tables.items() if table["staged"] is not None}

"""
What the type of a field means, told once for snapshots, deployments, the schema and the generated code.
"""

from __future__ import annotations

import pytest

from timestamp_guard.convex.fields import FieldType, common
from timestamp_guard.instants import ABSENT, Encoding

NUMBER = Encoding.parse("epoch_ms")
TEXT = Encoding.parse("rfc3339")


def of(said: str, *, optional: bool = False) -> FieldType:
    return FieldType(frozenset(said.split()), optional)


@pytest.mark.parametrize(
    ("said", "required"),
    [("number", True), ("number null", False), ("null", False), ("any", False), ("number any", False)],
)
def test_required(said: str, *, required: bool) -> None:
    """
    A field is required where it may neither be left out nor be null; what may be anything may be null.
    """
    assert (required, False) == (of(said).required, of(said, optional=True).required)


@pytest.mark.parametrize(
    ("said", "number"),
    [("number", float), ("bigint null", int), ("number bigint", None), ("any bigint", None), ("string", None)],
)
def test_number(said: str, number: type | None) -> None:
    """
    Numbers are of one kind where the type says of which.
    """
    assert number is of(said).number


@pytest.mark.parametrize(
    ("said", "numbers", "text"),
    [
        ("number", "written", ""),
        ("bigint null", "written", ""),
        ("any", "written", "written"),
        ("string", "", "written"),
        ("commitTs", "held", ""),
        ("commitTs string", "held", "written"),
        ("commitTs number", "written", ""),
        ("null", "", ""),
        ("literal", "", ""),
        ("id", "", ""),
    ],
)
def test_instants(said: str, numbers: str, text: str) -> None:
    """
    What can hold instants can be written, but for a commit timestamp, which the deployment stamps itself.
    """
    type_ = of(said)
    for how, encoding in ((numbers, NUMBER), (text, TEXT)):
        assert (how != "", how == "written") == (type_.holds(encoding), type_.writable(encoding))


@pytest.mark.parametrize(("said", "taken"), [("bigint", True), ("number", False), ("commitTs", False), ("any", True)])
def test_taken(said: str, *, taken: bool) -> None:
    """
    A value goes where one of its kind can be put.
    """
    assert taken == of(said).takes(1_700_000_000_000)


@pytest.mark.parametrize(
    ("said", "instant"),
    [("number null", True), ("commitTs", True), ("string", True), ("any", False), ("number string", False)],
)
def test_instant(said: str, *, instant: bool) -> None:
    """
    Of one type that can hold instants, null apart.
    """
    assert instant == of(said).instant


def test_common() -> None:
    """
    Of a union of objects a field is required where all of them require it.
    """
    members = [
        {"a": of("number"), "b": of("string"), "c": of("null")},
        {"a": of("bigint"), "c": of("any", optional=True)},
    ]

    assert {
        "a": of("number bigint"),
        "b": of("string", optional=True),
        "c": of("null any", optional=True),
    } == common(members)
    assert of("any", optional=True).takes(ABSENT)

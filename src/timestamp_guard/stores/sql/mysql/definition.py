"""
The definition of a table as the server shows it, and that of a column with nothing changed but whether it may be null.

MODIFY drops what is left out of it. So the text of a column is taken as it is, with all that its server knows of:
collation, default, ON UPDATE, comment, CHECK, whether it is invisible or compressed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from ....errors import StoreError
from ..connection import Prepared
from .server import Server
from .table import Table

__all__ = ["columns", "nullable", "required", "shown"]

# Names, texts, comments that are read by some versions, words, and whatever else.
_TOKEN: Final = re.compile(r"`(?:[^`]|``)*`|'(?:[^'\\]|\\.|'')*'|/\*.*?\*/|\w+|\s+|.", re.DOTALL)

_ENDS: Final = frozenset({"NULL", "DEFAULT", "ON", "COMMENT", "INVISIBLE", "CHECK", "WITHOUT", "AUTO_INCREMENT"})
"""What may come after a type, its charset and its collation."""


def shown(server: Server, table: Table) -> str:
    """The definition of *table*, without the number that its next row will have."""
    server.run("SET SESSION sql_quote_show_create = 1")
    ((_, text, *_),) = server.rows(Prepared(f"SHOW CREATE TABLE {table.source.replace('%', '%%')}"))
    return re.sub(r"^(\) ENGINE=\w+.*?) AUTO_INCREMENT=\d+", r"\1", str(text), count=1, flags=re.MULTILINE)


def columns(text: str) -> Mapping[str, str]:
    """
    The definitions of the columns in that of their table, by their names.

    Raises:
        StoreError: it cannot be read.
    """
    body = next((word for word in _words(text) if word.startswith("(")), "")
    found: dict[str, str] = {}
    each = ""
    for word in [*_words(body[1:-1]), ","]:
        if word != ",":
            each += word
            continue
        each = each.strip()
        if each.startswith("`"):
            (name, *_) = _words(each)
            found[name[1:-1].replace("``", "`")] = each
        each = ""
    if not found:
        msg = f"cannot read the definition of a table: {text[:200]}"
        raise StoreError(msg)
    return found


def required(definition: str) -> str:
    """The definition of a column that may be null, as one that may not."""
    words = [*_words(definition)]
    place = next((index for index, word in enumerate(words) if _after_type(word)), None)
    if place is None:
        return f"{definition} NOT NULL"
    if words[place] == "NULL":
        del words[place : place + 2]
    words[place:place] = ["NOT", " ", "NULL", " "]
    for index in range(place + 4, len(words) - 2):
        if words[index] == "DEFAULT" and words[index + 2] == "NULL":
            del words[index : index + 4]
            break
    return "".join(words).rstrip()


def nullable(definition: str) -> str:
    """The definition of a column that may not be null, as one that may."""
    words = [*_words(definition)]
    for index, word in enumerate(words[:-2]):
        if word == "NOT" and words[index + 2] == "NULL":
            del words[index : index + 2]
            break
    return "".join(words)


def _after_type(word: str) -> bool:
    return word in _ENDS or (word.startswith("/*") and not re.search(r"COMPRESSED|CHARACTER|COLLATE", word))


def _words(text: str) -> Iterator[str]:
    """Its words; what is in brackets is one of them."""
    held, depth = "", 0
    for word in _TOKEN.findall(text):
        depth -= word == ")"
        held += word
        depth += word == "("
        if not depth:
            yield held
            held = ""

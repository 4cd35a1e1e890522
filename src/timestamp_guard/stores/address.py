"""
Addresses of stores: where one stands for another, and how it is shown.

`env:DATABASE_URL` is the address in that variable of the environment, and `file:/run/secrets/database` the one in the
first line of that file: so that no password is in a command's history, in a configuration file or in a list of processes.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from ..errors import UsageError

__all__ = ["resolved", "secret", "shown"]

_PASSWORD: Final = re.compile(r"(?<=://)([^\s/@:]*):[^\s/@]*@")
_IN_QUERY: Final = re.compile(r"([?&](?:password|key|adminKey)=)(?!env:|file:)[^\s&]*", re.IGNORECASE)
_TO_CONVEX: Final = re.compile(r"(?<=convex\+)(https?://)[^\s/@]*@")


def resolved(url: str) -> str:
    """
    The address that *url* stands for.

    Raises:
        UsageError: there is no such variable or file, or it holds no address.
    """
    scheme, _, place = url.partition(":")
    if scheme == "env":
        found = os.environ.get(place, "").strip()
        if not found:
            msg = (
                f"{url}: the environment has no {place}: set it to the address of the store, like postgresql://host/app"
            )
            raise UsageError(msg)
    elif scheme == "file":
        try:
            found = (Path(place).read_text("utf-8").splitlines() or [""])[0].strip()
        except (OSError, UnicodeDecodeError) as problem:
            said = problem.strerror if isinstance(problem, OSError) else "it is no text"
            msg = f"{url} cannot be read ({said}): put the address of the store into its first line"
            raise UsageError(msg) from None
    else:
        return url
    if ":" not in found or found.startswith(("env:", "file:")):
        msg = f"{url} holds no address of a store, like postgresql://host/app"
        raise UsageError(msg)
    return found


def shown(text: str) -> str:
    """Text as it may be shown: addresses in it without their passwords."""
    return _IN_QUERY.sub(r"\1***", _PASSWORD.sub(r"\1@", _TO_CONVEX.sub(r"\1", text)))


def secret(url: str) -> bool:
    """Whether *url* has a password in it."""
    return shown(url) != url

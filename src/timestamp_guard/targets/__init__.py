"""The guard in other languages than that of :mod:`timestamp_guard.predicate`, which is right where they differ."""

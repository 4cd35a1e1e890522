"""JSON and JSON Lines: files whose records are judged where they stand, and patched byte by byte."""

"""
For the tests of people who use or extend timestamp_guard: Hypothesis strategies, and contracts for adapters.

Nothing here is loaded by `import timestamp_guard`, and nothing here loads pytest or Hypothesis by itself.
"""

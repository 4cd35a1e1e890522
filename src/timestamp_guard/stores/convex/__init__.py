"""Snapshots of Convex, as `npx convex export` makes them: a ZIP, or what was unpacked from one."""

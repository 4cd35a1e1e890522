"""How long an audit takes: 2,000 files of a made-up app, of the size that files of real apps have, as a whole process."""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GOAL = 5.0
"""Seconds, on two cores."""

TABLES = ("services", "pillarPages", "clusterPages", "orders", "invoices", "messages")

SCHEMA = """\
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

const timestamps = { createdAt: v.number(), updatedAt: v.number() };

export default defineSchema({
%s
});
"""
TABLE = '  %s: defineTable({ name: v.string(), state: v.string(), ...timestamps }).index("by_name", ["name"]),'

HEAD = """\
import { v } from "convex/values";
import type { Doc, Id } from "./_generated/dataModel";
import { internalMutation, mutation, query, type MutationCtx } from "./_generated/server";
import { stamped, requireUser } from "./helpers";

/** What is known of one row, for people who look at a list of them. */
export interface Shown {
  id: Id<"services">;
  name: string;
  state: "draft" | "published";
  author?: string;
}
"""

HELPERS = """\
export function stamped<T extends object>(row: T) {
  return { ...row, updatedAt: Date.now() };
}

export async function requireUser(ctx: any) {
  const identity = await ctx.auth.getUserIdentity();
  if (!identity) throw new Error("not signed in");
  return identity;
}
"""

FUNCTIONS = (
    """
export const list{n} = query({{
  args: {{ state: v.optional(v.string()), limit: v.number() }},
  handler: async (ctx, args) => {{
    await requireUser(ctx);
    const rows = await ctx.db
      .query("{table}")
      .withIndex("by_name", (q) => q.gt("name", ""))
      .order("desc")
      .take(Math.min(args.limit, 100));
    return rows
      .filter((row) => args.state === undefined || row.state === args.state)
      .map((row) => ({{ id: row._id, name: row.name.replace("-", " "), state: row.state }}));
  }},
}});
""",
    """
export const create{n} = mutation({{
  args: {{ name: v.string(), state: v.union(v.literal("draft"), v.literal("published")) }},
  handler: async (ctx, args) => {{
    const user = await requireUser(ctx);
    if (args.name.trim().length === 0) {{
      throw new Error("a name is needed");
    }}
    const now = Date.now();
    return await ctx.db.insert("{table}", {{ ...args, createdAt: now, updatedAt: now }});
  }},
}});
""",
    """
export const update{n} = mutation({{
  args: {{ id: v.id("{table}"), name: v.optional(v.string()), state: v.optional(v.string()) }},
  handler: async (ctx, {{ id, ...changes }}) => {{
    await requireUser(ctx);
    const row = await ctx.db.get(id);
    if (row === null) throw new Error("no such row");
    const patch: Partial<Doc<"{table}">> = {{}};
    if (changes.name !== undefined) patch.name = changes.name;
    if (changes.state !== undefined) patch.state = changes.state;
    patch.updatedAt = Date.now();
    await ctx.db.patch(row._id, patch);
  }},
}});
""",
    """
export const publish{n} = internalMutation({{
  args: {{ ids: v.array(v.id("{table}")) }},
  handler: async (ctx, args) => {{
    for (const id of args.ids) {{
      const row = await ctx.db.get(id);
      if (!row || row.state === "published") continue;
      await ctx.db.patch(row._id, stamped({{ state: "published" }}));
    }}
    return args.ids.length;
  }},
}});
""",
    """
async function summary{n}(ctx: MutationCtx, row: Doc<"{table}">): Promise<Shown[]> {{
  const others = await ctx.db
    .query("{table}")
    .withIndex("by_name", (q) => q.eq("name", row.name))
    .collect();
  const shown: Shown[] = [];
  for (const other of others) {{
    if (other._id === row._id) continue;
    shown.push({{ id: other._id as any, name: other.name, state: other.state as "draft" }});
  }}
  return shown.sort((a, b) => a.name.localeCompare(b.name));
}}
""",
)


WEIGHTS = (8, 2, 2, 2, 8)
"""So that there are about as many writes in a file as in those of real apps: 1.1 to 1.6."""


def make(folder: Path, count: int) -> int:
    """Write *count* files, and say how many bytes they have."""
    chosen = random.Random(5)
    folder.joinpath("schema.ts").write_text(SCHEMA % "\n".join(TABLE % each for each in TABLES), "utf-8")
    folder.joinpath("helpers.ts").write_text(HELPERS, "utf-8")
    size = 0
    for number in range(count - 2):
        parts = [
            chosen.choices(FUNCTIONS, WEIGHTS)[0].format(n=n, table=chosen.choice(TABLES))
            for n in range(chosen.randint(2, 10))
        ]
        text = HEAD + "".join(parts)
        size += len(text)
        folder.joinpath(f"file{number}.ts").write_text(text, "utf-8")
    return size


def _busy() -> float:
    """Seconds of processor that child processes have taken."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Run it a few times; the middle one counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "convex")
        folder.mkdir()
        size = make(folder, given.files)
        taken = []
        busy = _busy()
        sites = 0
        for _ in range(given.rounds):
            start = time.perf_counter()
            run = subprocess.run(
                [sys.executable, "-m", "timestamp_guard", "audit", str(folder), "--format", "json"],
                check=False,
                capture_output=True,
            )
            taken.append(time.perf_counter() - start)
            if run.returncode not in {0, 1}:
                sys.exit(run.stderr.decode())
            sites = len(json.loads(run.stdout)["sites"])
        busy = (_busy() - busy) / given.rounds
    seconds = sorted(taken)[len(taken) // 2]
    print(f"{given.files:,} files, {size / 1e6:.1f} MB, {sites:,} writes, {os.cpu_count()} cores")
    print(f"{busy:.2f} s of processor, for a machine with other work on it")
    print(f"{seconds:.2f} s (goal {GOAL:.0f} s: {'pass' if seconds < GOAL else 'MISS'}); rounds {taken}")
    if given.json is not None:
        found = {
            "files": given.files,
            "bytes": size,
            "writes": sites,
            "seconds": taken,
            "processor": busy,
            "goal": GOAL,
        }
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

import { v } from "convex/values";
import type { Doc, Id } from "./_generated/dataModel";
import { internalMutation, mutation, query, type MutationCtx } from "./_generated/server";
import { serviceFields } from "./lib/fields";

/*
 * The oldest way, kept as a reminder:
 *   await ctx.db.insert("services", { name, slug });
 */

export const create = mutation({
  args: { name: v.string(), slug: v.string() },
  handler: async (ctx, args) => {
    const now = Date.now();
    return await ctx.db.insert("services", { // s01
      name: args.name,
      slug: args.slug,
      status: "draft",
      createdAt: now,
      updatedAt: now,
    });
  },
});

export const createForgetful = mutation({
  args: { name: v.string(), slug: v.string() },
  handler: async (ctx, { name, slug }) => {
    // await ctx.db.insert("services", { name, slug, updatedAt: 1 });
    const id = await ctx.db.insert("services", { name, slug, status: "draft", createdAt: Date.now() } as any); // s02
    const text = 'ctx.db.insert("services", {})';
    return { id, text };
  },
});

export const createFromArgs = mutation({
  args: { ...serviceFields },
  handler: async (ctx, args) => {
    await ctx.db.insert("services", { ...args, createdAt: Date.now(), updatedAt: Date.now() }); // s03
    await ctx.db.insert("services", args); // s04
    await ctx.db.insert("services", { ...args, status: "published" } as Doc<"services">); // s05
  },
});

export const createWithTimes = mutation({
  args: { ...serviceFields, createdAt: v.number(), updatedAt: v.number() },
  handler: async (ctx, args) => {
    await ctx.db.insert("services", args); // s06
    const { updatedAt, ...rest } = args;
    await ctx.db.insert("services", { ...rest, updatedAt }); // s07
    await ctx.db.insert("services", rest as any); // s08
  },
});

export const createMaybe = mutation({
  args: { ...serviceFields, createdAt: v.number(), updatedAt: v.optional(v.number()) },
  handler: async (ctx, args) => {
    await ctx.db.insert("services", args as any); // s09
    await ctx.db.insert("services", { ...args, updatedAt: args.updatedAt ?? Date.now() }); // s10
  },
});

export const rename = mutation({
  args: { id: v.id("services"), name: v.string() },
  handler: async ({ db }, { id, name }) => {
    await db.patch(id, { name, updatedAt: Date.now() }); // s11
    await db.patch(id, { name }); // s12
  },
});

export const renameThree = mutation({
  args: { id: v.id("services"), name: v.string() },
  handler: async (context, args) => {
    await context.db.patch("services", args.id, { name: args.name, updatedAt: Date.now() }); // s13
    await context.db.patch("services", args.id, { name: args.name }); // s14
    await context.db.replace("services", args.id, { name: args.name, slug: "x", status: "draft", createdAt: 1 } as any); // s15
  },
});

export const update = mutation({
  args: {
    id: v.id("services"),
    name: v.optional(v.string()),
    slug: v.optional(v.string()),
    touch: v.boolean(),
  },
  handler: async (ctx, { id, touch, ...fields }) => {
    await ctx.db.patch(id, fields); // s16
    await ctx.db.patch(id, { ...fields, updatedAt: Date.now() }); // s17
    await ctx.db.patch(id, { ...(fields.name ? { name: fields.name } : {}), ...(touch && { slug: "t" }) }); // s18
    await ctx.db.patch(id, { ...fields, ...(touch ? { updatedAt: Date.now() } : {}) }); // s19
    await ctx.db.patch(id, { ...fields, ...(touch && { updatedAt: Date.now() }) }); // s20
    await ctx.db.patch(id, { // s21
      ...(fields.name !== undefined ? { name: fields.name } : {}),
      ...(touch ? { slug: "a" } : { slug: "b" }),
      updatedAt: Date.now(),
    });
  },
});

export const updateStepwise = mutation({
  args: { id: v.id("services"), name: v.optional(v.string()), fresh: v.boolean() },
  handler: async (ctx, args) => {
    const patch: Record<string, unknown> = {};
    if (args.name !== undefined) patch.name = args.name;
    patch.updatedAt = Date.now();
    await ctx.db.patch(args.id, patch); // s22

    const stale: Record<string, unknown> = {};
    if (args.name !== undefined) {
      stale.name = args.name;
    }
    await ctx.db.patch(args.id, stale); // s23

    const sometimes: any = { name: args.name };
    if (args.fresh) {
      sometimes.updatedAt = Date.now();
    }
    await ctx.db.patch(args.id, sometimes); // s24

    const bracketed: Record<string, any> = { name: "x" };
    bracketed["updatedAt"] = Date.now();
    await ctx.db.patch(args.id, bracketed); // s25

    const any: Record<string, any> = {};
    for (const [key, value] of Object.entries(args)) {
      any[key] = value;
    }
    await ctx.db.patch(args.id, any); // s26
  },
});

export const updateReplaced = mutation({
  args: { id: v.id("services"), name: v.string() },
  handler: async (ctx, args) => {
    let changes: Partial<Doc<"services">> = { name: args.name };
    changes = { ...changes, updatedAt: Date.now() };
    await ctx.db.patch(args.id, changes); // s27
    const assigned = { name: args.name };
    Object.assign(assigned, { updatedAt: Date.now() });
    await ctx.db.patch(args.id, assigned); // s28
    const gone: any = { name: args.name, updatedAt: Date.now() };
    delete gone.updatedAt;
    await ctx.db.patch(args.id, gone); // s29
  },
});

export const fromEntries = mutation({
  args: { id: v.id("services"), name: v.optional(v.string()), slug: v.optional(v.string()) },
  handler: async (ctx, { id, ...rest }) => {
    const cleaned = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
    await ctx.db.patch(id, cleaned); // s30
    await ctx.db.patch(id, { ...cleaned, updatedAt: Date.now() }); // s31
    await ctx.db.patch(id, Object.fromEntries([["name", "x"], ["updatedAt", Date.now()]])); // s32
  },
});

export const publish = mutation({
  args: { slug: v.string() },
  handler: async (ctx, args) => {
    const service = await ctx.db
      .query("services")
      .withIndex("by_slug", (q) => q.eq("slug", args.slug))
      .unique();
    if (!service) throw new Error("no such service");
    await ctx.db.patch(service._id, { status: "published" }); // s33
    await ctx.db // s34
      .patch(
        service._id,
        // the field is the last one
        { status: "published" as const, updatedAt: Date.now() },
      );
    await ctx.db.replace(service._id, { ...service, status: "published", updatedAt: Date.now() }); // s35
    const { updatedAt: _old, ...without } = service;
    await ctx.db.replace(service._id, without as any); // s36
    await ctx.db.replace(service._id, { ...service, status: "draft" }); // s37
  },
});

export const viewed = internalMutation({
  args: { id: v.id("services") },
  handler: async (ctx, args) => {
    const service = (await ctx.db.get(args.id))!;
    await ctx.db.patch(service._id, { viewCount: (service.viewCount ?? 0) + 1 }); // s38
    await ctx.db.patch(service._id, { lastViewedAt: Date.now(), sortOrder: 1 }); // s39
    await ctx.db.patch(args.id as Id<"services">, { updatedAt: undefined } as any); // s40
  },
});

async function setStatus(ctx: MutationCtx, id: Id<"services">, status: "draft" | "published") {
  await ctx.db.patch(id, { status }); // s41
}

export async function touch(ctx: MutationCtx, service: Doc<"services">) {
  await ctx.db.patch(service._id, { updatedAt: Date.now() }); // s42
}

export const archive = mutation({
  args: { id: v.id("services") },
  handler: async (ctx, args) => {
    await setStatus(ctx, args.id, "draft");
  },
});

export const names = query({
  args: {},
  handler: async (ctx) => {
    const services = await ctx.db.query("services").take(50);
    return services.map((each) => each.name.replace("a", "b"));
  },
});

"""Tables of a Convex app: in a snapshot, as `npx convex export` makes it, or in a live deployment."""

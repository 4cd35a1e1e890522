"""Tables of a Convex app."""

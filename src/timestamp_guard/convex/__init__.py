"""
What is known of Convex, apart from storing: its TypeScript, its schemas, its ids.
"""

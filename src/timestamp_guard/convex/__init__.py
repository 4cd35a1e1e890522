"""What is known of Convex, apart from storing."""

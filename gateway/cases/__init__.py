"""A fault becomes an incident, and what becomes of it."""

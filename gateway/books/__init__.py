"""The store's file: the tables, one writer, and everything that is asked of it."""

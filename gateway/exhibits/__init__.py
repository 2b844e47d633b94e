"""The evidence behind a request: gathered, drawn, shown to whoever has the reference."""

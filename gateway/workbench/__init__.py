"""Rules tried out: tests, history, differences, charts."""

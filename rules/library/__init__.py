"""The rules that come with sense311."""

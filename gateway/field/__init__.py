"""The devices in the field: what they may say, have said, and are told."""

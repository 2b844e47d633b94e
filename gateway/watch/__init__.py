"""What the gateway says of itself: its log, its figures, how it stands."""

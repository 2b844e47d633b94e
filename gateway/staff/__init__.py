"""Who looks and who acts, and what they may do."""

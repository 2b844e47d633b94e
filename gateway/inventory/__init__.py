"""What stands in the city: its assets, their files, and who speaks for them."""

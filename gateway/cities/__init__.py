"""City profiles: how each city's 311 speaks."""

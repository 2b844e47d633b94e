"""Stand-ins for devices and for the city's 311, written from the contract alone."""

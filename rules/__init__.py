"""What counts as a fault: the language and the engine. Imports nothing of the other packages."""

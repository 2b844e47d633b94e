"""Who may speak on the broker: the bundled one, Mosquitto, credentials, certificates."""

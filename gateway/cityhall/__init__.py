"""An incident becomes a request: made, let pass, sent, found again, followed."""

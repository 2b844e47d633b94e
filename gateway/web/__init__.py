"""What stands between a socket and the pages: who is let through, who is signed in."""

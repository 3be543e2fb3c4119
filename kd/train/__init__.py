"""The training loop and what it stands on. Knows no method and no cluster."""

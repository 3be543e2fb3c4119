"""What this cluster is: its profile, its commands, and what they answer, as values."""

"""Where jobs go: which partition and GPU type, and why."""

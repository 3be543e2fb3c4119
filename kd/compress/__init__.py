"""Smaller and faster networks: channel pruning, int8, portable files, and what each of them costs."""

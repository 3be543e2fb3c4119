"""The run folder: every path in it, and each of its files as a typed value. Never imports torch."""

"""The job file: its shape, its faults, and the plan that follows from it. Never imports torch."""

"""Core library: teachers, students, losses, training, evaluation and reports. Knows nothing of any cluster."""

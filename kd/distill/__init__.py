"""What makes training a distillation: teachers, weighted objectives, caches."""

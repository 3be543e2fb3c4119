"""Trainings as curves in other programs: TensorBoard, W&B, MLflow."""

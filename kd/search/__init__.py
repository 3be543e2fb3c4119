"""Choosing hyperparameters by short trainings: spaces, budgets, proposals. Trains nothing itself."""

"""What a search is made of: its short trainings, and what it remembers of earlier ones."""

"""The commands: what a person types on the login node, and what is printed back."""

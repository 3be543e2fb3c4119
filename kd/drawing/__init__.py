"""Pictures of what a finished stage's model makes of images."""

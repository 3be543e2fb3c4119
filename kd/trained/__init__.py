"""Trained models in use: opened again, asked about images, and measured on any data set."""

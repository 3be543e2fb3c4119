"""Metrics and measurements of trained models."""

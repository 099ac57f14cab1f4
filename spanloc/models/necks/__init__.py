"""Necks: one grid of cells in, several levels out."""

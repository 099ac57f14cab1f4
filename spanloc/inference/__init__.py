"""Trained models at work: on recordings, as exported files."""

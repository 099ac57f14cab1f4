"""Annotation formats: folders to train on, and files of predictions and annotations to score."""

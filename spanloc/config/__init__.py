"""Config: objects from settings, checks of settings, models from checkpoints."""

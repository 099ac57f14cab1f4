"""The search of settings: parameters, the study that processes share, and one trial."""

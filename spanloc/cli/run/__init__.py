"""Training runs: settings, resuming, environment and trackers of one; sweeps and launchers of several."""

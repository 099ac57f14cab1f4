"""What all commands share: Hydra and arguments, mistakes and signals, processes, folders, and the terminal."""

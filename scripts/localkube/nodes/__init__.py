"""Real and fake nodes, their network, and the images that they pull."""

"""Adaptations: the jobs that turn a capture into a checkpoint."""

"""Checkpoints: the immutable results of adaptations, and which one a rig serves with."""

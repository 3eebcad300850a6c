"""Bundles: a rig and one checkpoint in a signed file, to take from one deployment to another."""

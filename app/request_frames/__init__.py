"""Frames of pose requests that are kept to be looked at, where a rig allows it."""

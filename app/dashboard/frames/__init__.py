"""The frame viewer: what the cameras saw of one frame, and what fusion made of it."""

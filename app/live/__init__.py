"""Live frames: a WebSocket that takes synchronised frames as they come and answers their poses."""

"""The rigs page: every rig, how well it serves, and what to do next."""

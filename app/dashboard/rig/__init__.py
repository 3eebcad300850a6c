"""The page of one rig: cameras in 3D, what fusion gains there, checkpoints, captures, and what to do next."""

"""`rigfuse demo`: the main job from end to end, through REST like any client, with a table and pictures at its end."""

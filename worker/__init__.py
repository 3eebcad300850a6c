"""The background side of RigFuse: Celery tasks, the sweeper, and the launcher that runs all on one machine."""

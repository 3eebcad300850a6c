"""The operations page: whether the service is well, and where to look where it is not."""

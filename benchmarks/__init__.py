"""Measurements that print tables; too long for the tests, and never timed tests."""

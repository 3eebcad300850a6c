"""The dashboard: one server-rendered page for operators."""

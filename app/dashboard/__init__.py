"""The dashboard: server-rendered pages for operators and capture technicians, kept true by server-sent events."""

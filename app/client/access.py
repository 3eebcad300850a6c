"""Access: keys and the audit trail."""

from app.client.calls import Calls


class Access(Calls):
    """Who may do what, and who did."""

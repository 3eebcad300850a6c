"""The one exception of the demonstration: something a person has to do, in whole sentences."""


class DemoFailed(Exception):
    """The demonstration cannot go on; the message says what happened and what to do."""

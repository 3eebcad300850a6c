"""What a key looks like, and the hash by which it is known again.

A key is 256 random bits: nobody finds one by trying, however fast the hash. So SHA-256 is enough; slow and salted
hashes are for passwords, which people choose and use twice.
"""

import hashlib
import secrets

PREFIX = "rf_"
HINT_LENGTH = 10
"""So much of a key is shown later, for a person to know it by: the prefix, and seven characters of 43."""


def new_key() -> str:
    """A key that has never been."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(key: str) -> str:
    """The SHA-256 of a key, in hexadecimal; takes whatever a client may have sent."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()

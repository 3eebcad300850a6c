"""Whether a caller may come in now: not with keys that keep being wrong, nor more often than its key allows."""

import ipaddress
from threading import Lock

from cachetools import TTLCache

from app.access.browser import BrowserSessions
from app.access.keyring import KeyRing
from app.access.keys import digest
from app.access.principal import LOCAL, Principal
from app.access.rates import Rates
from app.errors import TooManyRequests
from app.metrics import Metrics
from app.settings import Settings

TRUSTED_S = 3600.0
_FAILED, _REQUESTS = "failed", "requests"


class Guard:
    """Identifies callers and holds them to their rates.

    An address whose keys keep being wrong is refused before its next key is looked at closely, or else a right guess
    would be told. Keys that were right from there within the last hour still pass: whoever shares an address with
    somebody who guesses can go on working.
    """

    def __init__(self, settings: Settings, keys: KeyRing, browsers: BrowserSessions, metrics: Metrics) -> None:
        self.keys = keys
        self.browsers = browsers
        self._rates = Rates(settings.broker_url)
        self._failures = settings.failed_keys_per_minute
        self._default_rate = settings.requests_per_minute
        self._metrics = metrics
        self._trusted: TTLCache[tuple[str, str], bool] = TTLCache(4096, TRUSTED_S)
        self._lock = Lock()

    def identify(self, key: str, address: str) -> Principal | None:
        """The holder of ``key``; None where it is wrong. Raises TooManyRequests where too many were."""
        principal = self.keys.identify(key)
        place = _network(address)
        pair = (place, digest(key))
        if principal is None:
            self._refuse_after("failed_keys", self._rates.hit(_FAILED, place, self._failures))
        elif not self._is_trusted(pair):
            self._refuse_after("failed_keys", self._rates.look(_FAILED, place, self._failures))
            with self._lock:
                self._trusted[pair] = True
        return principal

    def recognise(self, token: str) -> Principal | None:
        """Who signed in and got ``token`` as a cookie; None where nobody did, or the key is no longer good.

        A cookie cannot be guessed and wears out by itself, so a wrong one counts for nothing.
        """
        key = self.browsers.key_of(token)
        return None if key is None else self.keys.holder_of(key)

    def charge(self, principal: Principal) -> None:
        """Count a request; raises TooManyRequests where the key has used up its rate."""
        rate = principal.allowance.requests_per_minute or self._default_rate
        if rate is not None and principal != LOCAL:
            self._refuse_after("requests_per_minute", self._rates.hit(_REQUESTS, principal.key_id, rate), rate)

    def _is_trusted(self, pair: tuple[str, str]) -> bool:
        with self._lock:
            return pair in self._trusted

    def _refuse_after(self, limit: str, wait_s: float | None, rate: int | None = None) -> None:
        if wait_s is None:
            return
        self._metrics.key_refusals.labels(limit).inc()
        if rate is None:
            detail = "Too many wrong keys came from your address; wait before you send another."
        else:
            detail = f"Your key may be used {rate:,} times a minute, and it was."
        raise TooManyRequests(f"{detail} Try again in {wait_s:.0f} s.", retry_after_s=wait_s)


def _network(address: str) -> str:
    """The address, or the network of an IPv6 address: a client may choose among all of its addresses there."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)

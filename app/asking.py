"""What the clients are given, checked before anything is sent: an address, a key, ids; no message shows a secret."""

from urllib.parse import quote

import httpx

from app.access.keys import PREFIX
from app.retries import Misused

_LAST_PORT = 65535


def service_address(text: str) -> httpx.URL:
    """Where the service is; raises Misused where no service can be."""
    try:
        url = httpx.URL(text.strip())
        url.host.encode("idna")  # as the resolver will
    except (httpx.InvalidURL, ValueError) as error:
        raise _no_address() from error
    asks = bool(url.query or url.fragment)
    if url.scheme not in {"http", "https"} or not url.host or (url.port or 0) > _LAST_PORT or asks:
        raise _no_address()
    return url


def shown(url: httpx.URL) -> str:
    """An address for a message: without the password that it may hold."""
    return str(url.copy_with(userinfo=b"")).rstrip("/")


def authorization(api_key: str | None) -> dict[str, str]:
    """The header for a key; files and shells put white space around keys, which is no part of them."""
    key = (api_key or "").strip()
    return {"Authorization": f"Bearer {header_value(key, 'The API key')}"} if key else {}


def header_value(text: str, what: str) -> str:
    """What a header can hold, which is printable ASCII; raises Misused, which does not show it."""
    if not (text.isascii() and text.isprintable()):
        raise Misused(f"{what} holds a character that no HTTP header can: only printable ASCII is sent.")
    return text


def segment(given: str) -> str:
    """An id as one piece of a path, so that it can name nothing else; raises Misused where it is none.

    A slash is refused although it could be quoted: servers and proxies take the quotes off before they look.
    """
    if not given:
        raise Misused("An id is empty; is a variable not set?")
    if given in {".", ".."} or "/" in given or "\\" in given:
        raise Misused("An id holds no slash, and is neither '.' nor '..'.")
    if given.startswith(PREFIX):  # paths are logged
        raise Misused("An id was expected, not an API key itself; `rigfuse keys list` tells the ids of keys.")
    try:
        return quote(given, safe="")
    except UnicodeEncodeError as error:
        raise Misused("An id is text that UTF-8 can write.") from error


def _no_address() -> Misused:
    # Never what was given: it may hold a password.
    return Misused("The service's address (--url, RIGFUSE_URL) must be like http://127.0.0.1:8000, without ? or #.")

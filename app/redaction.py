"""Nothing secret reaches a log: not the secrets of the settings, and nothing that looks like one.

Errors of drivers and tracebacks quote URLs, headers and statements, so the finished line is looked through, not its
authors trusted.
"""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from pydantic import SecretStr
from structlog.typing import EventDict, WrappedLogger

from app.settings import Settings

HIDDEN = "***"
_LEAST = 6  # what is shorter would hide ordinary words
_NAMES = "password|passwd|secret|api_?key|token"
_PATTERNS = (
    (re.compile(r"(?<=://)[^\s/@:'\"]*:[^\s/@'\"]+(?=@)"), HIDDEN),  # user:password in a URL
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"\brf_[\w-]{20,}"), HIDDEN),  # a key of ours, whatever it stands behind
    (re.compile(rf"(?i)(\b\w*(?:{_NAMES})\w*['\"]?\s*[=:]\s*['\"]?)[^\s,;)}}\]'\"]+"), rf"\1{HIDDEN}"),
)
_known: set[str] = set()


def conceal(settings: Settings) -> None:
    """Keep the secrets of these settings out of every line that this process logs."""
    secrets = _secrets(settings)
    _known.update(form for secret in secrets for form in (secret, quote(secret, safe="")) if len(form) >= _LEAST)


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A structlog processor: the line without what is secret; the last but one, before the line is written."""
    return {name: _clean(value) for name, value in event.items()}


def redacted(text: str) -> str:
    """The text without what is secret."""
    for secret in _known:
        if secret in text:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", HIDDEN, text)
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        return {name: _clean(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(inner) for inner in value]
    return value if value is None or isinstance(value, bool | int | float) else redacted(str(value))


def _secrets(settings: Settings) -> Iterable[str]:
    for _, value in settings:
        for single in value if isinstance(value, tuple) else (value,):
            if isinstance(single, SecretStr):
                yield single.get_secret_value()
    for url in (settings.database_url, settings.broker_url):
        yield unquote(urlsplit(url).password or "")

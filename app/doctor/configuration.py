"""The settings themselves: keys, what faces the network, and what the machine gives."""

import resource
from collections.abc import Iterator
from pathlib import Path

from app.access.keyring import KeyRing
from app.doctor.findings import Finding, Patient, bad, good, warning
from app.errors import MisconfiguredService

_FEW_CHARACTERS = 8
_LIKE_AN_EXAMPLE = ("change", "example", "secret", "password", "studio-key", "test")
_LEAST_FILES = 1024
_PER_PROCESS = 600 << 20
"""What an API process takes before it serves anything."""


def check_keys(patient: Patient) -> Iterator[Finding]:
    """Whether somebody has a key, and whether the keys of the settings can be guessed."""
    settings = patient.settings
    ring = KeyRing(settings, patient.database)
    if not ring.required:
        yield good("keys", "none needed: an embedded service on the loopback")
        return
    try:
        ring.check_start()
    except MisconfiguredService as error:
        yield bad("keys", error.message, "rigfuse admin create-key, or set RIGFUSE_API_KEYS")
        return
    weak = [key for key in (key.get_secret_value() for key in settings.api_keys) if _is_weak(key)]
    if weak:
        told = f"{len(weak)} of {len(settings.api_keys)} keys in RIGFUSE_API_KEYS can be guessed"
        yield bad("keys", told, 'make new ones: python3 -c "import secrets; print(secrets.token_urlsafe(32))"')
    else:
        yield good("keys", f"{len(settings.api_keys)} in the settings, none weak; others may be in the database")


def _is_weak(key: str) -> bool:
    return len(set(key)) < _FEW_CHARACTERS or any(word in key.lower() for word in _LIKE_AN_EXAMPLE)


def check_network(patient: Patient) -> Iterator[Finding]:
    """What faces the network, as far as the settings tell."""
    settings = patient.settings
    if settings.is_loopback:
        yield good("network", f"only this machine reaches {settings.host}:{settings.port}")
        return
    hints = [
        (not settings.allowed_hosts, "RIGFUSE_ALLOWED_HOSTS is empty: any Host header will do"),
        (settings.hsts_s == 0, "RIGFUSE_HSTS_S is 0: browsers may come without TLS"),
        (settings.trusted_proxies == "*", "RIGFUSE_TRUSTED_PROXIES is *: anybody may say who they are"),
    ]
    told = "; ".join(hint for applies, hint in hints if applies)
    if told:
        yield warning("network", told, "put a TLS proxy in front, and name its hosts and addresses in the settings")
    else:
        yield good("network", f"listens on {settings.host}:{settings.port} for a proxy with TLS")


def check_files(_patient: Patient) -> Iterator[Finding]:
    """Whether a process may open enough files."""
    most, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= most < _LEAST_FILES:
        yield warning("ulimits", f"{most} open files at most", f"raise it to {_LEAST_FILES} or more (ulimit -n)")
    else:
        yield good("ulimits", f"{most} open files" if most >= 0 else "open files without a limit")


def check_memory(patient: Patient) -> Iterator[Finding]:
    """Whether what the settings allow an API process fits into the machine."""
    settings = patient.settings
    wanted = settings.engine_cache_bytes + settings.pose_memory + _PER_PROCESS
    total = _memory_total()
    if total is None:
        return
    told = f"{_mib(total)} on the machine; the settings let an API process take {_mib(wanted)}"
    if wanted > total:
        yield warning("memory", told, "lower RIGFUSE_ENGINE_CACHE_BYTES or RIGFUSE_POSE_MEMORY")
    else:
        yield good("memory", told)


def _memory_total() -> int | None:
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.exists() and (text := limit.read_text().strip()).isdecimal():
        return int(text)
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("MemTotal:")), None)


def _mib(size: int) -> str:
    return f"{size >> 20} MiB"

"""The report of a fault campaign."""

from collections.abc import Mapping
from typing import Any

_PREFACE = """# The fault campaign

Written by `python -m benchmarks.fault_campaign`. Real processes: PostgreSQL, a Redis-compatible broker, the API and two
workers, each started again a moment after it has died. Clients register rigs, upload captures, ask for adaptations
(half of them twice with the same `Idempotency-Key`, some cancelled) and for poses; what is not answered they ask again.
Faults strike at seeded random moments. When all is quiet again this has to be true, or it is a violation:

- every adaptation that was answered is there, once for its key, in a final state, with one final event in its stream;
- one that succeeded has exactly one checkpoint, which was promoted at most once; no other has any;
- every artifact that a row names is there and has the SHA-256 that names it;
- every answer was complete, and the same question has the same answer in the calm;
- nothing but 2xx, 429, 503 and 507 was answered;
- what a rig serves with is what its history says.
"""


def report(found: Mapping[str, Mapping[str, Any]]) -> str:
    """All sections, each with its figures and its violations."""
    parts = [_PREFACE, _summary(found)]
    for section in found.values():
        rows = [f"| {name} | {number} |" for name, number in sorted(section["counts"].items())]
        parts.append("\n".join([f"## {section['title']}", "", "| what | how often |", "|---|---|", *rows]))
        parts.append("\n".join(f"- {violation}" for violation in section["violations"]) or "No violation.")
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _summary(found: Mapping[str, Mapping[str, Any]]) -> str:
    lines = ["| section | seconds | faults | adaptations | poses answered | violations |", "|---|---|---|---|---|---|"]
    for name, section in found.items():
        counts = section["counts"]
        ended = sum(n for what, n in counts.items() if what.startswith("adaptations ") and "asked" not in what)
        told = (name, round(section["seconds"]), section["faults"], ended, counts.get("pose requests answered", 0))
        lines.append(f"| {' | '.join(map(str, told))} | {len(section['violations'])} |")
    return "\n".join(lines)

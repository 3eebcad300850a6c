"""``rigfuse workers`` and ``rigfuse audit``: who works, and who did what."""

import json
from itertools import islice
from typing import Annotated

import typer

from app.commands.shared import DEFAULT_URL, ApiKey, AsJson, Url, connected, short, show_list, size


def workers(as_json: AsJson = False, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """List the workers that reported themselves of late."""
    with connected(url, api_key) as client:
        show_list(
            client.workers(),
            {
                "worker": lambda row: row.id,
                "alive": lambda row: "yes" if row.alive else "no",
                "device": lambda row: row.device,
                "memory free": lambda row: size(row.memory_free),
                "runs": lambda row: row.adaptation or "–",
                "seen": lambda row: short(row.seen_at),
                "version": lambda row: row.version,
            },
            as_json=as_json,
        )


def audit(
    *,
    subject: Annotated[str | None, typer.Option(help="Only what was done to this id.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this, such as rig.archived.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Who did what, the newest first (scope admin)."""
    with connected(url, api_key) as client:
        show_list(
            islice(client.audit(subject=subject, action=action), limit),
            {
                "when": lambda row: short(row.at),
                "who": lambda row: row.actor,
                "what": lambda row: row.action,
                "to": lambda row: row.subject,
                "detail": lambda row: json.dumps(row.detail) if row.detail else "",
            },
            as_json=as_json,
        )

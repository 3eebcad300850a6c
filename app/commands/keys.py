"""``rigfuse keys``: who may use the service; needs a key with the scope ``admin``."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from app.commands.shared import DEFAULT_URL, ApiKey, AsJson, Url, connected, remark, say, short, show, show_list

commands = typer.Typer(no_args_is_help=True, help="API keys (needs a key with the scope admin).")
KeyId = Annotated[str, typer.Argument(metavar="KEY", help="Id of a key.")]


@commands.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who or what it is for.")],
    *,
    scope: Annotated[list[str] | None, typer.Option(help="read, write or admin; may be given several times.")] = None,
    studio: Annotated[str, typer.Option(help="Whose rigs it sees; all where it is not given.")] = "",
    days: Annotated[int | None, typer.Option(min=1, max=36_500, help="Days until it expires.")] = None,
    requests_per_minute: Annotated[int | None, typer.Option(min=1, help="Its rate.")] = None,
    frames_per_day: Annotated[int | None, typer.Option(min=1, help="Frames of pose requests a day.")] = None,
    stored_bytes: Annotated[int | None, typer.Option(min=1, help="Bytes that its studio's captures may take.")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Make a key and print it: this once, for nobody can read it again. Reads and writes unless --scope says else."""
    expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
    with connected(url, api_key) as client:
        made = client.create_key(
            name,
            scope or ("read", "write"),
            studio=studio,
            expires_at=expires_at,
            requests_per_minute=requests_per_minute,
            frames_per_day=frames_per_day,
            stored_bytes=stored_bytes,
        )
    show(made, made.key, as_json=as_json)
    remark(f"{made.id}, {made.name}: {', '.join(made.scopes)}. Keep it like a password; it is not shown again.")


@commands.command("list")
def list_all(as_json: AsJson = False, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """List all keys, those revoked among them."""
    with connected(url, api_key) as client:
        show_list(
            client.keys(),
            {
                "key": lambda key: key.id,
                "begins": lambda key: key.hint,
                "name": lambda key: key.name,
                "scopes": lambda key: ", ".join(key.scopes),
                "studio": lambda key: key.studio or "–",
                "state": lambda key: key.state,
                "last used": lambda key: short(key.last_used_at),
                "expires": lambda key: short(key.expires_at),
            },
            as_json=as_json,
        )


@commands.command("show")
def show_one(key: KeyId, as_json: AsJson = True, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """Print a key as JSON, with what it used of late."""
    with connected(url, api_key) as client:
        answer = client.key(key)
    show(answer, answer.id, as_json=as_json)


@commands.command("revoke")
def revoke(key: KeyId, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """Revoke a key: from now on it opens nothing."""
    with connected(url, api_key) as client:
        client.revoke_key(key)
    say(f"The key {key} is revoked.")

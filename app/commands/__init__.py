"""The commands of ``rigfuse`` that use a service which runs somewhere, through its Python client."""

import typer

from app.commands import adaptations, bundles, captures, checkpoints, completion, keys, operations, poses, rigs

PANEL = "Use a service that runs (--url, --api-key)"


def install(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.add_typer(rigs.commands, name="rig", rich_help_panel=PANEL)
    app.add_typer(captures.commands, name="capture", rich_help_panel=PANEL)
    app.command(rich_help_panel=PANEL)(adaptations.adapt)
    app.add_typer(adaptations.commands, name="adaptations", rich_help_panel=PANEL)
    app.command(rich_help_panel=PANEL)(poses.poses)
    app.add_typer(checkpoints.commands, name="checkpoints", rich_help_panel=PANEL)
    app.add_typer(bundles.commands, name="bundle", rich_help_panel=PANEL)
    app.add_typer(keys.commands, name="keys", rich_help_panel=PANEL)
    app.command(rich_help_panel=PANEL)(operations.workers)
    app.command(rich_help_panel=PANEL)(operations.audit)
    app.command(rich_help_panel="The command itself")(completion.completion)

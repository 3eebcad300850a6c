"""``rigfuse bundle``: a rig and its checkpoint in one signed file, to take to another deployment."""

import typer

commands = typer.Typer(no_args_is_help=True, help="A rig and its checkpoint in one signed file.")

"""``rigfuse completion``: what a shell needs to complete commands and options."""
# ruff: noqa: PLC0415 - see shared

from enum import StrEnum
from typing import Annotated

import typer


class Shell(StrEnum):
    """Shells that can be taught."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Annotated[Shell, typer.Argument(help="bash, zsh or fish.")] = Shell.BASH) -> None:
    """Print the completion script of a shell, such as for `source <(rigfuse completion bash)` in ~/.bashrc."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]  # imported there, not listed

    typer.echo(get_completion_script(prog_name="rigfuse", complete_var="_RIGFUSE_COMPLETE", shell=shell))

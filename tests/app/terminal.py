"""The ``rigfuse`` command in this process: what it prints and how it ends, without the seconds that a start takes."""

import io
import os
import sys
import threading
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import pytest

from app.cli import main


@dataclass(frozen=True)
class Done:
    """How a command ended and what it printed."""

    status: int
    stdout: str
    stderr: str


class Printed(io.StringIO):
    """What the command prints, but not what a service logs from its threads."""

    def write(self, text: str) -> int:
        return super().write(text) if threading.current_thread() is threading.main_thread() else len(text)


def rigfuse(*arguments: str, **environment: str) -> Done:
    """Run a command as the program does; columns are wide so that nothing is wrapped."""
    out, err = Printed(), Printed()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["rigfuse", *arguments])
        patch.setattr(sys, "stdin", io.StringIO("n\n"))
        for name in [name for name in os.environ if name.startswith("RIGFUSE_")]:
            patch.delenv(name)
        for name, value in {"COLUMNS": "200", **environment}.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main()
    return Done(int(ended.value.code or 0), out.getvalue(), err.getvalue())

"""Runs a program that may not outlive the process that started it: ``python -m worker.bound PARENT PROGRAM ARGS…``.

The launcher may be killed with SIGKILL, which no handler sees, and one of its children is a server written in C.
So the bond is made with the kernel before the program takes this process over: PR_SET_PDEATHSIG outlives exec.
Where there is no prctl (macOS) the program runs without the bond and only an orderly end reaches it.
"""

import ctypes
import os
import signal
import sys

from app.processes import python_module

_PR_SET_PDEATHSIG = 1


def bound_command(program: list[str]) -> list[str]:
    """The command line that runs ``program`` bound to the calling process."""
    return python_module("worker.bound", str(os.getpid()), *program)


def main(parent: int, program: list[str]) -> None:
    """Bind this process to its parent, then become the program."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died before the bond was made
        sys.exit(1)
    os.execv(program[0], program)  # noqa: S606 - the launcher wrote this command line


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])

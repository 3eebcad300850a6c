"""How one part of the service starts another: with the same interpreter, and the same packages."""

import sys
from pathlib import Path


def python_module(module: str, *arguments: str) -> list[str]:
    """The command line that runs a module.

    ``python -m`` looks for packages in the current directory first, where a person may well have an ``app`` of their
    own; unless this process was started like that itself, the directory is left out.
    """
    from_here = "" in sys.path or str(Path.cwd()) in sys.path
    return [sys.executable, *([] if from_here else ["-P"]), "-m", module, *arguments]

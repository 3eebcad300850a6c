"""An S3 server of its own for the tests: SeaweedFS, from a wheel."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ACCESS_KEY, SECRET_KEY = "rigfuse-tests", "a secret of the tests"
_ACTIONS = ["Admin", "Read", "List", "Tagging", "Write"]


@dataclass(frozen=True)
class S3Server:
    """A running server; any bucket may be named, it is made when it is first written to."""

    endpoint: str
    process: "subprocess.Popen[bytes]"

    def settings(self, prefix: str) -> dict[str, str]:
        """Settings of a deployment that keeps its artifacts here, each under a prefix of its own."""
        return {
            "artifacts_url": f"s3://artifacts/{prefix}",
            "artifacts_endpoint": self.endpoint,
            "artifacts_access_key_id": ACCESS_KEY,
            "artifacts_secret_access_key": SECRET_KEY,
        }

    def environment(self, prefix: str) -> dict[str, str]:
        """The same as environment variables."""
        return {f"RIGFUSE_{name.upper()}": value for name, value in self.settings(prefix).items()}


@contextmanager
def serving_s3(folder: Path) -> Iterator[S3Server]:
    """Run the server on free ports, its data in ``folder``."""
    identity = {"credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}], "actions": _ACTIONS}
    (folder / "s3.json").write_text(json.dumps({"identities": [{"name": "tests", **identity}]}))
    master, volume, filer, s3 = _free_ports(4)
    command = [
        str(Path(sys.executable).parent / "weed"), "-v=0", "server", f"-dir={folder}", "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1", f"-master.port={master}", f"-master.port.grpc={master + 10_000}",
        f"-volume.port={volume}", f"-volume.port.grpc={volume + 10_000}", f"-filer.port={filer}",
        f"-filer.port.grpc={filer + 10_000}", "-s3", f"-s3.port={s3}", f"-s3.port.grpc={s3 + 10_000}",
        f"-s3.config={folder / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.localSocket=s3.sock",
        "-filer.localSocket=filer.sock", "-master.volumeSizeLimitMB=64", "-volume.max=30",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        endpoint = f"http://127.0.0.1:{s3}"
        _await(endpoint, process)
        yield S3Server(endpoint, process)
    finally:
        process.kill()
        process.wait(10)


def _await(endpoint: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(300):
        assert process.poll() is None, "the S3 server ended at its start"
        try:
            if httpx.get(f"{endpoint}/healthz", timeout=1).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("the S3 server does not answer")


def _free_ports(count: int) -> list[int]:
    """Ports that are free, and free 10,000 above: SeaweedFS wants both."""
    found: list[int] = []
    with ExitStack() as held:
        for port in range(20_101, 32_000, 7):
            try:
                for number in (port, port + 10_000):
                    held.enter_context(socket.create_server(("127.0.0.1", number)))
            except OSError:
                continue
            found.append(port)
            if len(found) == count:
                break
    return found

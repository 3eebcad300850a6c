"""Fuzz the API by its own description: schemathesis, with all its checks, against a real process.

``python -m benchmarks.api_fuzz`` ends with 1 where a check failed, and tells how to repeat it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks._api_process import ApiProcess, api_process, checkpoint_of, store_checkpoint
from benchmarks._fault_studio import studios
from models.rig import Rig
from worker.broker import EmbeddedBroker

KEY = "a-key-for-fuzzing-the-api"
ENVIRONMENT = {
    "API_KEYS": KEY,
    "FAILED_KEYS_PER_MINUTE": "1000000",  # wrong keys are a part of it
    "UPLOADS_PER_KEY": "100000",
    "UPLOADS_TOTAL_BYTES": "1PiB",
    "OMP_NUM_THREADS": "1",
}
_CONFIG = Path(__file__).with_name("_api_fuzz.toml")
_ROOT = Path(__file__).parents[1]


def fuzz(
    url: str, ids: Mapping[str, Sequence[str]], folder: Path, *arguments: str
) -> "subprocess.CompletedProcess[str]":
    """Run schemathesis against ``url`` with what exists there; the process as it ended."""
    config = folder / "schemathesis.toml"
    tables = [f"[dictionaries.{name}]\nvalues = {json.dumps(list(values))}\n" for name, values in ids.items()]
    config.write_text("\n".join([_CONFIG.read_text(), *tables]))
    command = [
        str(Path(sys.executable).with_name("st")), "--config-file", str(config), "run", f"{url}/openapi.json",
        "-H", f"Authorization: Bearer {KEY}", *arguments,
    ]  # fmt: skip
    return subprocess.run(  # noqa: S603 - this environment's own program
        command, cwd=folder, env=os.environ | {"PYTHONPATH": str(_ROOT)}, capture_output=True, text=True, check=False
    )


@contextmanager
def served(**environment: str) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """A service with its broker, and what is in it: the ids by kind."""
    broker = EmbeddedBroker.choose()
    server = subprocess.Popen(broker.command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)  # noqa: S603
    assert server.stdin is not None  # noqa: S101
    server.stdin.write(broker.configuration.encode())
    server.stdin.close()
    try:
        with api_process(BROKER_URL=broker.url, **ENVIRONMENT, **environment) as api:
            yield api.url, _fill(api)
    finally:
        server.terminate()
        server.wait(10)


def _fill(api: ApiProcess, rigs: int = 3) -> dict[str, list[str]]:
    """Rigs with captures, checkpoints and waiting adaptations, and uploads that were begun."""
    ids: dict[str, list[str]] = {name: [] for name in ("rigs", "captures", "adaptations", "checkpoints", "uploads")}
    with httpx.Client(base_url=api.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60) as client:
        for studio in studios(0, rigs):
            rig = _made(client.post("/v1/rigs", json=studio.rig_document))
            captures = [_made(client.post(f"/v1/rigs/{rig}/captures", files=studio.capture)) for _ in range(2)]
            jobs = [client.post(f"/v1/rigs/{rig}/adaptations", json={"capture": capture}) for capture in captures]
            checkpoint = checkpoint_of(Rig.from_dict({k: v for k, v in studio.rig_document.items() if k != "name"}))
            ids["rigs"].append(rig)
            ids["captures"] += captures
            ids["adaptations"] += map(_made, jobs)
            for job in ids["adaptations"]:  # there is no worker: one that waits would be waited for
                client.post(f"/v1/adaptations/{job}/cancel")
            ids["checkpoints"] += [store_checkpoint(api.settings, rig, checkpoint) for _ in range(3)]
        for length in ("10", "100", "1000"):
            headers = {"Tus-Resumable": "1.0.0", "Upload-Length": length}
            ids["uploads"].append(_made(client.post("/v1/uploads", headers=headers)))
    return ids


def _made(answer: httpx.Response) -> str:
    answer.raise_for_status()
    return str(answer.json()["id"])


def main() -> int:
    """Run it as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=100, help="cases of each operation in the fuzzing phases")
    parser.add_argument("--phases", default="examples,coverage,fuzzing,stateful")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    began = time.monotonic()
    with served() as (url, ids), tempfile.TemporaryDirectory() as folder:
        options = ("--phases", asked.phases, "--max-examples", str(asked.examples), "--seed", str(asked.seed))
        done = fuzz(url, ids, Path(folder), *options)
    print(done.stdout, done.stderr)
    print(f"{'no failure' if done.returncode == 0 else 'FAILED'} in {time.monotonic() - began:.0f} s")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())

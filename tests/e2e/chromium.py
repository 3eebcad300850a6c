"""``make browser``: a Chromium for the tests of the dashboard is found, or installed where this machine lets us."""
# ruff: noqa: T201 - a program that says what it found

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
HOW_TO_GET_ONE = "no Chromium was found: `apt install chromium`, or `.venv/bin/playwright install chromium`"
_APT = ["apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"]


def find() -> str | None:
    """The path of the system's browser, or else of Playwright's own."""
    found = next((path for path in map(shutil.which, NAMES) if path), None)
    if found:
        return found
    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
    return str(own) if own.is_file() else None


def install() -> str | None:
    """Debian's package, for root; what went wrong, if anything did."""
    if not shutil.which("apt-get") or os.geteuid() != 0:
        return "only root on Debian is served here"
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", "chromium"]):
        done = subprocess.run([*_APT, *command], env=quiet, check=False, capture_output=True, text=True)
        if done.returncode:
            return done.stderr.strip()
    return None


def main() -> None:
    """Say where the browser is; without one the tests that need it are skipped, which fails nothing here."""
    if find():
        return
    print("Installing Chromium for the tests of the dashboard ...", flush=True)
    trouble = install()
    found = find()
    print(found or f"{HOW_TO_GET_ONE}. Without it the tests of the dashboard are skipped. ({trouble})", file=sys.stderr)


if __name__ == "__main__":
    main()

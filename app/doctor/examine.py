"""All checks in their order, and what they found as a table or as JSON."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from app import deployments
from app.doctor import configuration, parts, storage, work
from app.doctor.findings import Check, Finding, Mark, Patient, bad, good, look
from app.settings import Settings

_SEE_DATABASE = "is RIGFUSE_DATABASE_URL right, and does the server run?"
_CHECKS: tuple[tuple[str, Check, str], ...] = (
    ("database", parts.check_database, _SEE_DATABASE),
    ("schema", parts.check_migrated, "rigfuse migrate"),
    ("writes", parts.check_writable, "give the user the right to write, and the server room on its disk"),
    ("clock", parts.check_clock, _SEE_DATABASE),
    ("keys", configuration.check_keys, "see RIGFUSE_API_KEYS"),
    ("network", configuration.check_network, ""),
    ("broker", parts.check_broker, "is RIGFUSE_BROKER_URL right, and does the server run?"),
    ("artifacts", storage.check_store, "is RIGFUSE_ARTIFACTS_URL right, and may this user write there?"),
    ("disk", storage.check_disks, "make room, or raise less in RIGFUSE_MIN_FREE_BYTES"),
    ("stored bytes", storage.check_bytes, "restore them from the backup"),
    ("uploads", storage.check_uploads, ""),
    ("weights", work.check_weights, "install RigFuse again, or see RIGFUSE_BACKBONE_MANIFEST and RIGFUSE_DEVICE"),
    ("workers", work.check_workers, "rigfuse worker"),
    ("queue", work.check_queue, "see the broker above"),
    ("leases", work.check_leases, _SEE_DATABASE),
    ("API", work.check_api, "does it run, and is --url right?"),
    ("ulimits", configuration.check_files, ""),
    ("memory", configuration.check_memory, ""),
)
REMEDIES = {name: remedy for name, _, remedy in _CHECKS}
"""What to do about each part that is not well."""
_NEED_DATABASE = {"schema", "writes", "clock", "keys", "stored bytes", "workers", "queue", "leases"}
_NEED_SCHEMA = {"writes", "keys", "stored bytes", "workers", "queue", "leases"}
_SIGNS = {Mark.GOOD: "[green]✓[/]", Mark.WARNING: "[yellow]![/]", Mark.BAD: "[red]✗[/]"}


def examine(*, deep: bool, url: str | None, api_key: str | None) -> Iterator[Finding]:
    """Look over the deployment that the environment describes."""
    try:
        settings = Settings()
    except ValidationError as error:
        for fault in error.errors(include_input=False, include_url=False):  # the input may hold a password
            name = f"RIGFUSE_{fault['loc'][0]!s}".upper() if fault["loc"] else "RIGFUSE_…"
            yield bad("settings", f"{name}: {fault['msg']}", "see the table of settings in docs/operations.md")
        return
    yield from _unknown() or [good("settings", f"valid, for {settings.environment}")]
    if not deployments.is_there(settings):
        told = f"there is no deployment at {settings.data_dir}"
        yield bad(
            "deployment", told, "set RIGFUSE_DATA_DIR or --data-dir; to begin one: rigfuse up, or rigfuse migrate"
        )
        return
    patient = Patient(settings, deep, url, api_key)
    skipped: set[str] = set()
    try:
        for name, check, do in _CHECKS:
            if name in skipped:
                continue
            found = look(name, check, patient, do)
            if any(finding.mark is Mark.BAD for finding in found):
                skipped |= {"database": _NEED_DATABASE, "schema": _NEED_SCHEMA}.get(name, set())
            yield from found
    finally:
        patient.close()


def _unknown() -> list[Finding]:
    known = {f"RIGFUSE_{name}".upper() for name in Settings.model_fields}
    known |= {"RIGFUSE_URL", "RIGFUSE_API_KEY", "RIGFUSE_OTEL", "RIGFUSE_DEMO_WHEEL"}
    others = sorted(name for name in os.environ if name.startswith("RIGFUSE_") and name not in known)
    told = f"nobody reads {', '.join(others)}"
    return [Finding("settings", Mark.WARNING, told, "is it misspelt?")] if others else []


def healthy(findings: list[Finding]) -> bool:
    """Whether nothing is bad."""
    return all(finding.mark is not Mark.BAD for finding in findings)


def as_json(findings: list[Finding]) -> str:
    """The findings for a program."""
    return json.dumps({"healthy": healthy(findings), "findings": [asdict(finding) for finding in findings]}, indent=1)


def show(findings: list[Finding], screen: Console) -> None:
    """The findings for a person."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for finding in findings:
        told = finding.told if not finding.do else f"{finding.told}\n→ {finding.do}"
        table.add_row(_SIGNS[finding.mark], finding.check, told)
    screen.print(table)

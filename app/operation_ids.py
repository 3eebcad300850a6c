"""Names of operations for generated clients: by rule from method and path, so that they stay when code is moved."""

import re

from fastapi.routing import APIRoute

_VERBS = {"GET": "get", "PATCH": "update", "PUT": "replace", "DELETE": "delete", "HEAD": "check", "OPTIONS": "describe"}
_NAMED = {
    "POST /v1/rigs": "register_rig",
    "DELETE /v1/rigs/{rig_id}": "archive_rig",
    "POST /v1/calibrations/inspect": "inspect_calibration",
    "POST /v1/rigs/{rig_id}/captures": "upload_capture",
    "POST /v1/rigs/{rig_id}/adaptations": "start_adaptation",
    "GET /v1/adaptations/{adaptation_id}/events": "follow_adaptation",
    "POST /v1/rigs/{rig_id}/rollback": "roll_back_rig",
    "POST /v1/rigs/{rig_id}/poses": "estimate_poses",
    "GET /v1/checkpoints/{checkpoint_id}/artifact": "download_checkpoint",
    "DELETE /v1/captures/{capture_id}": "purge_capture",
    "DELETE /v1/checkpoints/{checkpoint_id}": "purge_checkpoint",
    "DELETE /v1/rigs/{rig_id}/request-frames": "purge_request_frames",
    "DELETE /v1/keys/{key_id}": "revoke_key",
    "GET /v1/audit": "list_audit_entries",
    "OPTIONS /v1/uploads": "describe_uploads",
    "PATCH /v1/uploads/{upload_id}": "append_to_upload",
    "GET /v1/checkpoints/{checkpoint_id}/bundle": "export_bundle",
    "POST /v1/bundles": "import_bundle",
    "GET /healthz": "get_health",
    "GET /readyz": "get_readiness",
    "GET /metrics": "get_metrics",
}


def operation_id(route: APIRoute) -> str:
    """The name of a route: ``list_rigs``, ``get_rig``, ``pin_checkpoint``, ``get_rig_serving``."""
    method = min(route.methods or {"GET"})
    named = _NAMED.get(f"{method} {route.path_format}")
    return named or _by_rule(method, route.path_format)


def _by_rule(method: str, path: str) -> str:
    steps = [step for step in path.removeprefix("/v1").split("/") if step]
    if not steps:
        return f"{_VERBS[method]}_root"
    words = [re.sub(r"\W", "_", step) for step in steps if not step.startswith("{")]
    verb = _VERBS.get(method, "post")
    if steps[-1].startswith("{"):
        return f"{verb}_{_singular(words[-1])}"
    if words[-1].endswith("s") and method in {"GET", "POST"}:
        return f"list_{words[-1]}" if method == "GET" else f"create_{_singular(words[-1])}"
    if len(words) == 1:
        return f"{verb}_{words[0]}"
    owner = _singular(words[-2])
    return f"{words[-1]}_{owner}" if method == "POST" else f"{verb}_{owner}_{words[-1]}"


def _singular(word: str) -> str:
    return word.removesuffix("s")

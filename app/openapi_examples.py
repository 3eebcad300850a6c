"""Examples for the OpenAPI description: one rig and what becomes of it; a test holds them to their schemas."""

from typing import Any

_RIG, _CAPTURE, _JOB = "rig_5f0c1e9a7b3d2468ace01357", "cap_0a1b2c3d4e5f60718293a4b5", "ada_9d8c7b6a5f4e3d2c1b0a9f8e"
_CHECKPOINT, _BEFORE, _KEY = (
    "ckp_13579bdf02468ace13579bdf",
    "ckp_02468ace13579bdf02468ace",
    "key_c0ffee00c0ffee00c0ffee00",
)
_DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_BEGAN, _MADE, _ENDED = "2026-01-05T09:30:00Z", "2026-01-05T09:31:12Z", "2026-01-05T09:38:40Z"

PARAMETERS = {
    "rig_id": _RIG,
    "capture_id": _CAPTURE,
    "adaptation_id": _JOB,
    "checkpoint_id": _CHECKPOINT,
    "key_id": _KEY,
    "upload_id": "upl_3f1c0a9be2d74c6e8a5b9d02",
}

_CALIBRATION: dict[str, Any] = {"width": 1920, "height": 1080, "dist": [], "model": "opencv"}
_INTRINSICS = [[1400.0, 0.0, 960.0], [0.0, 1400.0, 540.0], [0.0, 0.0, 1.0]]
_CAMERAS: list[dict[str, Any]] = [
    {
        "id": "cam01", **_CALIBRATION, "K": _INTRINSICS,
        "R": [[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]], "t": [0.0, 1.2, 4.0],
    },
    {
        "id": "cam02", **_CALIBRATION, "K": _INTRINSICS,
        "R": [[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]], "t": [0.0, 1.2, 4.0],
    },
]  # fmt: skip
_SPACE: dict[str, Any] = {"up": [0.0, 0.0, 1.0], "volume": {"min": [-1.0, -1.0, 0.0], "max": [1.0, 1.0, 2.0]}}
_VIEW = {"K": [[62.0, 0.0, 31.5], [0.0, 62.0, 31.5], [0.0, 0.0, 1.0]]}
_METRICS = {
    "no_fusion": {"jdr": 0.861, "reprojection_px": 9.4},
    "epipolar": {"jdr": 0.902, "reprojection_px": 7.1},
    "fused": {"jdr": 0.957, "reprojection_px": 3.2},
    "promoted": True,
    "reason": "Better than no fusion and than epipolar fusion on the frames that were held out.",
}
_CHECKPOINT_ROW = {
    "id": _CHECKPOINT, "rig": _RIG, "adaptation": _JOB, "capture": _CAPTURE, "origin": None, "method": "metafuse",
    "seed": 0, "active": True, "promoted": True, "pinned": False, "reason": _METRICS["reason"],
    "artifact_sha256": _DIGEST, "size_bytes": 1234567, "created_at": _ENDED, "purged_at": None,
}  # fmt: skip
_KEY_ROW = {
    "id": _KEY, "name": "stage A", "scopes": ["read", "write"], "studio": "north", "hint": "rf_Zk3vQ1a",
    "state": "active", "requests_per_minute": 600, "frames_per_day": None, "stored_bytes": 500000000000,
    "created_by": "env", "created_at": _BEGAN, "expires_at": None, "last_used_at": _ENDED, "revoked_at": None,
}  # fmt: skip

SCHEMAS: dict[str, Any] = {
    "RigIn": {"name": "stage A", "joints": "coco17", "units": "m", "cameras": _CAMERAS, **_SPACE},
    "RigPatch": {"name": "stage A, north wall", "tags": ["north"]},
    "RigOut": {
        "id": _RIG, "studio": "", "name": "stage A", "notes": "", "tags": [], "status": "adapted", "revision": 1,
        "digest": _DIGEST, "active_checkpoint": _CHECKPOINT, "joints": "coco17", "units": "m",
        "cameras": [{**camera, "view": _VIEW} for camera in _CAMERAS], **_SPACE, "capture_retention_days": None,
        "checkpoints_kept": None, "request_frames_kept": 0, "created_at": _BEGAN, "archived_at": None,
    },
    "CalibrationOut": {
        "format": "rigfuse", "document": {"units": "mm", "cameras": _CAMERAS}, "refused": True,
        "findings": [
            {
                "severity": "error", "code": "units", "cameras": [], "at": "units",
                "sentence": "Read in mm, the cameras stand apart by up to 5.66 mm: is the unit right?",
                "change": {"label": "Read the calibration in m", "edits": [{"path": "/units", "value": "m"}]},
            }
        ],
        "cameras": [
            {
                "index": 0, "id": "cam01", "centre": [0.0, -4.0, 1.2],
                "axes": [[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]],
                "frustum": [[-0.69, 1.0, 0.39], [0.69, 1.0, 0.39], [0.69, 1.0, -0.39], [-0.69, 1.0, -0.39]],
            }
        ],
        "place": [0.0, 0.0, 1.2], "pairs": [{"cameras": [0, 1], "overlap": 0.91}],
    },
    "CaptureOut": {
        "id": _CAPTURE, "rig": _RIG, "kind": "images", "frames": 50, "labelled_joints": 3270,
        "coverage": {"cameras": {"cam01": 0.98, "cam02": 0.95}}, "warnings": [], "digest": _DIGEST,
        "size_bytes": 734003200, "created_at": _MADE, "keep_until": "2026-02-04T09:31:12Z", "purged_at": None,
    },
    "AdaptationRequest": {"capture": _CAPTURE, "method": "metafuse", "seed": 0, "options": {}},
    "Adaptation": {
        "id": _JOB, "rig": _RIG, "capture": _CAPTURE, "method": "metafuse", "seed": 0, "options": {},
        "priority": "interactive", "state": "succeeded", "stage": "done", "progress": 1.0, "eta_s": None, "attempt": 1,
        "cancel_requested": False, "metrics": _METRICS, "checkpoint": _CHECKPOINT, "error": None,
        "stage_seconds": {"learn": 301.5}, "attempts": [], "retry_of": None, "created_at": _MADE, "started_at": _MADE,
        "finished_at": _ENDED,
    },
    "Checkpoint": _CHECKPOINT_ROW,
    "CheckpointManifest": _CHECKPOINT_ROW | {"manifest": {"method": "metafuse", "digests": {"artifact": _DIGEST}}},
    "Because": {"reason": "The new one wobbles at the north wall."},
    "Rollback": {"rig": _RIG, "active_checkpoint": _BEFORE, "rolled_back": _CHECKPOINT},
    "Activation": {
        "checkpoint": _CHECKPOINT, "action": "promoted", "actor": "system", "reason": _METRICS["reason"], "at": _ENDED,
    },
    "SigningKey": {"algorithm": "ed25519", "public_key": _DIGEST, "fingerprint": _DIGEST},
    "Imported": {
        "rig": _RIG, "rig_registered": True, "checkpoint": _CHECKPOINT_ROW, "checkpoint_registered": True,
    },
    "PosesOut": {
        "rig": _RIG, "checkpoint": _CHECKPOINT, "view": "rig", "joints": ["nose", "left_eye"],
        "frames": [
            {
                "frame": "000012", "view": "rig",
                "poses2d": {"cam01": [[955.2, 402.8, 0.93], None], "cam02": [[981.0, 399.1, 0.9], None]},
                "pose3d": [[0.01, 0.12, 1.62], None], "confidence": [0.91, 0.0], "reprojection_px": [1.4, None],
                "views_used": [2, 0],
            }
        ],
    },
    "RigServing": {
        "rig": _RIG, "checkpoint": _CHECKPOINT, "requests": 120, "frames": 960, "reprojection_px": 3.4,
        "views_used": 3.6, "last_request_at": _ENDED, "drift": None,
    },
    "RequestFrame": {
        "id": 4711, "rig": _RIG, "frame": "000012", "kind": "images", "checkpoint": _CHECKPOINT, "size_bytes": 1310720,
        "created_at": _ENDED,
    },
    "Worker": {
        "id": "render03:4711", "alive": True, "host": "render03", "pid": 4711, "version": "0.1.0", "device": "cpu",
        "memory_total": 64000000000, "memory_free": 51000000000, "adaptation": _JOB, "started_at": _BEGAN,
        "seen_at": _ENDED, "stopped_at": None,
    },
    "KeyIn": {"name": "stage A", "scopes": ["read", "write"], "studio": "north", "requests_per_minute": 600},
    "Key": _KEY_ROW,
    "KeyMade": _KEY_ROW | {"key": "rf_Zk3vQ1aTn0tArealKeyButAsLongAsOneWouldBe0001"},
    "KeyDetail": _KEY_ROW | {
        "usage": [{"day": "2026-01-05", "requests": 1250, "frames": 960, "upload_bytes": 734003200}],
        "stored_bytes_used": 734003200,
    },
    "AuditEntry": {
        "id": 17, "at": _ENDED, "actor": _KEY, "studio": "north", "action": "rig.archived", "subject": _RIG,
        "request_id": "8c1f0a9b2d3e4f50", "detail": {},
    },
    "Alive": {"status": "ok"},
    "Ready": {
        "status": "ready", "parts": ["database", "broker", "artifacts", "weights"], "backbone": _DIGEST,
        "omega_base": _DIGEST,
    },
    "Problem": {
        "type": "urn:rigfuse:error:invalid_rig", "title": "Invalid rig", "status": 422, "code": "invalid_rig",
        "detail": "R is not a rotation: its rows must be orthonormal and its determinant +1.", "at": "cameras[1].R",
    },
}  # fmt: skip


def add_examples(schema: dict[str, Any]) -> None:
    """Put each example into its schema; a page shows the example of its items."""
    schemas = schema["components"]["schemas"]
    for name, found in schemas.items():
        item = found.get("properties", {}).get("items", {}).get("items", {}).get("$ref", "").rpartition("/")[2]
        examples = [SCHEMAS[item]] if item in SCHEMAS else schemas.get(item, {}).get("examples")
        if name in SCHEMAS:
            found["examples"] = [SCHEMAS[name]]
        elif examples:
            found["examples"] = [{"items": examples, "next_cursor": None}]

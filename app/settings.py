"""Everything a deployment may choose, read once from the environment with the prefix ``RIGFUSE_``."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import ByteSize, Field, SecretStr, StringConstraints, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.processes import usable_cores

_SECRETS = Path("/run/secrets")
"""Where container engines put secrets: a file ``rigfuse_api_keys`` there is read as RIGFUSE_API_KEYS would be."""
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
MEBIBYTE = 1 << 20
GIBIBYTE = 1 << 30


PublicKey = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Settings(BaseSettings):
    """Settings of one process; paths and addresses that are left empty follow from ``data_dir``."""

    model_config = SettingsConfigDict(
        env_prefix="RIGFUSE_", extra="ignore", frozen=True, secrets_dir=_SECRETS if _SECRETS.is_dir() else None
    )

    environment: Literal["embedded", "production"] = "production"
    data_dir: Path = Path(".rigfuse")
    database_url: str = ""
    database_password: SecretStr = Field(default=SecretStr(""), description="put into a URL that names a user only")
    broker_url: str = "redis://127.0.0.1:6379/0"
    artifacts_url: str = ""
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    log_format: Literal["json", "console"] = "json"

    requests_per_minute: int | None = Field(default=None, ge=1, description="of keys that have no rate of their own")
    failed_keys_per_minute: int = Field(default=30, ge=1, description="wrong keys from one address")
    sign_in_s: float = Field(default=7 * 86_400.0, gt=0, description="for which a browser stays signed in")
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(default=(), description="whose pages may ask")
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(default=(), description="none: any Host header will do")
    trusted_proxies: str = Field(default="127.0.0.1", description="whose X-Forwarded-For and -Proto are believed")
    hsts_s: int = Field(default=0, ge=0, description="Strict-Transport-Security; only behind TLS")
    header_timeout_s: float = Field(default=10.0, gt=0, description="for the head of a request")
    body_timeout_s: float = Field(default=30.0, gt=0, description="between two pieces of a body")
    min_body_rate: ByteSize = Field(default=ByteSize(1024), description="bytes a second, of a body that takes longer")
    max_connections: int = Field(default=1000, ge=1, description="at the same time; further ones are answered 503")

    artifacts_endpoint: str = Field(default="", description="of an S3-compatible store; empty is Amazon's own")
    artifacts_region: str = "us-east-1"
    artifacts_access_key_id: str = Field(default="", description="empty takes AWS_… or the machine's role")
    artifacts_secret_access_key: SecretStr = SecretStr("")
    artifacts_timeout_s: float = Field(default=10.0, gt=0, description="without an answer from the store")
    artifacts_cache_bytes: ByteSize = ByteSize(8 * GIBIBYTE)

    capture_retention_days: int | None = Field(default=None, ge=1)
    checkpoints_kept: int | None = Field(default=None, ge=1)
    housekeeping_s: float = Field(default=3600.0, gt=0, description="between two rounds of retention")

    source_revision: str = Field(default="", max_length=64, description="of the code, for the lineage of checkpoints")
    signing_key_file: Path | None = None
    trusted_keys: Annotated[tuple[PublicKey, ...], NoDecode] = ()
    max_bundle_bytes: ByteSize = ByteSize(512 * MEBIBYTE)

    device: Literal["cpu", "cuda"] = "cpu"
    threads: int | None = Field(default=None, ge=1)
    backbone_manifest: Path | None = None
    engine_cache: int = Field(default=8, ge=1, description="loaded checkpoints kept in memory")
    engine_cache_bytes: ByteSize = ByteSize(GIBIBYTE)
    pinned_rigs: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="whose engines always stay loaded"
    )
    activation_poll_s: float = Field(default=1.0, gt=0, description="between two looks for newly active checkpoints")

    pose_concurrency: int = Field(default_factory=usable_cores, ge=1, description="at the same time")
    pose_queue: int = Field(default=32, ge=1, description="pose requests that may wait; others are answered 503")
    pose_batch: int = Field(default=8, ge=1, description="frames of waiting requests computed together; 1 is none")
    pose_memory: ByteSize = ByteSize(2 * GIBIBYTE)
    pose_upload_bytes: ByteSize = ByteSize(16 * GIBIBYTE)
    live_connections: int = Field(default=16, ge=0, description="streams of live frames at the same time")
    live_queue: int = Field(default=2, ge=1, description="frames of a stream that wait; then the oldest is dropped")
    live_message_bytes: ByteSize = ByteSize(32 * MEBIBYTE)
    live_idle_s: float = Field(default=60.0, gt=0, description="without a frame, until a stream is closed")
    request_frame_interval_s: float = Field(default=10.0, ge=0, description="between two kept frames; 0 keeps each")
    viewer_cache_bytes: ByteSize = Field(default=ByteSize(128 * MEBIBYTE), description="frames that the viewer keeps")
    capture_concurrency: int = Field(default=2, ge=1, description="captures checked at the same time")

    max_json_bytes: ByteSize = ByteSize(4 * MEBIBYTE)
    max_upload_bytes: ByteSize = ByteSize(4 * GIBIBYTE)
    max_labels_bytes: ByteSize = ByteSize(64 * MEBIBYTE)
    max_unpacked_bytes: ByteSize = ByteSize(8 * GIBIBYTE)
    max_compression_ratio: int = Field(default=200, ge=1)
    max_image_pixels: int = Field(default=64_000_000, ge=1)
    max_heatmap_bytes: ByteSize = ByteSize(2 * GIBIBYTE)
    max_capture_frames: int = Field(default=2000, ge=1)
    max_pose_frames: int = Field(default=64, ge=1)

    upload_expiry_s: float = Field(default=86_400, gt=0, description="resumable uploads that nobody goes on with")
    uploads_per_key: int = Field(default=16, ge=1, description="resumable uploads at the same time")
    uploads_total_bytes: ByteSize = ByteSize(64 * GIBIBYTE)

    drain_s: float = Field(default=20.0, gt=0, description="for what is under way when the API is to end")
    min_free_bytes: ByteSize = Field(default=ByteSize(256 * MEBIBYTE), description="on the disks; less is not ready")

    lease_s: float = Field(default=60.0, gt=0)
    heartbeat_s: float = Field(default=10.0, gt=0)
    sweep_s: float = Field(default=15.0, gt=0)
    max_attempts: int = Field(default=3, ge=1)
    fan_out_cameras: int = Field(default=12, ge=2, description="rigs of so many are adapted by many workers together")
    worker_memory: ByteSize | None = Field(default=None, description="what adaptations of one worker may use at most")

    @field_validator("api_keys", "trusted_keys", "pinned_rigs", "cors_origins", "allowed_hosts", mode="before")
    @classmethod
    def _split_keys(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(key.strip() for key in value.split(",") if key.strip())
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch(r"https?://[^/\s*]+", origin) for origin in value):
            raise ValueError("name each origin as a browser does, such as https://studio.example")
        return value

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    @field_validator("database_url")
    @classmethod
    def _name_the_driver(cls, value: str) -> str:
        scheme, separator, rest = value.partition("://")
        return f"postgresql+psycopg://{rest}" if separator and scheme in {"postgres", "postgresql"} else value

    @model_validator(mode="before")
    @classmethod
    def _put_password_in(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("database_url") and values.get("database_password"):
            password = values["database_password"]
            plain = password.get_secret_value() if isinstance(password, SecretStr) else str(password)
            parts = urlsplit(values["database_url"])
            user, at, host = parts.netloc.rpartition("@")
            if at and ":" not in user:
                netloc = f"{user}:{quote(plain, safe='')}@{host}"
                values["database_url"] = urlunsplit(parts._replace(netloc=netloc))
        return values

    @model_validator(mode="before")
    @classmethod
    def _follow_data_dir(cls, values: Any) -> Any:
        if isinstance(values, dict):
            data_dir = Path(values.get("data_dir") or ".rigfuse").expanduser().resolve()
            values["database_url"] = values.get("database_url") or f"sqlite:///{data_dir}/rigfuse.db"
            values["artifacts_url"] = values.get("artifacts_url") or (data_dir / "artifacts").as_uri()
        return values

    @property
    def uploads_dir(self) -> Path:
        """Where a request's upload lies while it is checked; emptied when the request ends."""
        return self.data_dir / "uploads"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return self.host in LOOPBACK_HOSTS

    @property
    def database_kind(self) -> str:
        """The database's family without user, password or host, for logs."""
        return urlsplit(self.database_url).scheme.partition("+")[0]

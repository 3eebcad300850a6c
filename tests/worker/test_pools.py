"""No CUDA after a fork: a worker on a GPU runs in the process that began to use it."""

from pathlib import Path

import pytest

from app.errors import MisconfiguredService
from app.settings import Settings
from worker.celery_app import create_worker
from worker.context import WorkerContext


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_worker_on_cuda_refuses_other_pools(tmp_path: Path, pool: str) -> None:
    context = WorkerContext.from_settings(Settings(data_dir=tmp_path, device="cuda"))
    with pytest.raises(MisconfiguredService, match=r"in the solo pool, not in celery\.concurrency") as refused:
        create_worker(context, pool)
    assert refused.value.at == "RIGFUSE_DEVICE"
    context.queue.close()
    context.db.dispose()

"""The processes that train together, one a device: started by torchrun, or just this one."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from models.errors import DeviceUnavailable


@dataclass(frozen=True)
class Ranks:
    """This process is number ``rank`` of ``size``; it computes on ``device``."""

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Replace every tensor by its sum over all processes, in one message."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        distributed.all_reduce(flat)
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, total in zip(tensors, parts, strict=True):
            tensor.copy_(total.view_as(tensor))


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """The group that torchrun's environment names, over NCCL between GPUs and gloo between CPUs; else alone.

    Raises DeviceUnavailable where there is no such device.
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise DeviceUnavailable(f"There is no {device}: this torch finds no GPU.")
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Ranks(device=device)
        return
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield Ranks(distributed.get_rank(), size, device)
    finally:
        distributed.destroy_process_group()

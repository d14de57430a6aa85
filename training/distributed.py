"""Several processes, one per GPU or per group of cores, that train one network: `torchrun --nproc-per-node N -m ...`.

Each process draws batches of its own, and the gradients are averaged after each step. Normalisation over the batch sees its
own process's part only, and so does the Dice of a batch.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Group:
    """This process among all: rank 0 leads (it writes files and talks)."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0


@contextmanager
def process_group() -> Iterator[Group]:
    """Join the processes that torchrun started; a group of one where it did not."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        yield Group()
        return
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield current_group()
    finally:
        distributed.destroy_process_group()


def current_group() -> Group:
    """The group that this process has joined."""
    if not distributed.is_available() or not distributed.is_initialized():
        return Group()
    return Group(distributed.get_rank(), distributed.get_world_size())


def training_device(wish: str) -> torch.device:
    """The device of a wish: "auto" takes this process's GPU where there is one."""
    if wish != "auto":
        return torch.device(wish)
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if torch.cuda.is_available() else torch.device("cpu")


def shared(network: nn.Module) -> nn.Module:
    """The network, with its gradients averaged over the group where there is one."""
    if current_group().size == 1:
        return network
    device = next(network.parameters()).device
    return DistributedDataParallel(network, device_ids=[device] if device.type == "cuda" else None)


def from_leader(value: _Value) -> _Value:
    """The leader's value, in every process."""
    if current_group().size == 1:
        return value
    held = [value]
    distributed.broadcast_object_list(held, src=0)
    return held[0]


def wait_for_leader() -> None:
    """Return when the leader has come here too."""
    from_leader(None)


def from_all(value: _Value) -> list[_Value]:
    """Every process's value, by rank."""
    group = current_group()
    if group.size == 1:
        return [value]
    held: list[_Value | None] = [None] * group.size
    distributed.all_gather_object(held, value)
    return held  # type: ignore[return-value]  # filled now

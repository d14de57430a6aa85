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

from training.errors import TrainingError

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
    """Join the processes that torchrun started; a group of one where it did not.

    Tensors on a GPU travel by NCCL, all others by Gloo: a plan may ask for the processor on a machine that has a GPU.
    """
    if launched_processes() == 0:
        yield Group()
        return
    both = torch.cuda.is_available() and distributed.is_nccl_available()
    distributed.init_process_group("cpu:gloo,cuda:nccl" if both else "gloo")
    try:
        yield current_group()
    finally:
        distributed.destroy_process_group()


def launched_processes() -> int:
    """How many processes torchrun has started; 0 where it did not start this one."""
    return int(os.environ["WORLD_SIZE"]) if "RANK" in os.environ and "WORLD_SIZE" in os.environ else 0


def current_group() -> Group:
    """The group that this process has joined; a group of one before and afterwards."""
    if not distributed.is_available() or not distributed.is_initialized():
        return Group()
    return Group(distributed.get_rank(), distributed.get_world_size())


def training_device(wish: str) -> torch.device:
    """The device of a wish; a GPU becomes this process's current one, where NCCL and everything called "cuda" go.

    Raises:
        TrainingError: there is no GPU for this process.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    device = chosen_device(wish, int(os.environ.get("LOCAL_RANK", "0")), gpus)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def chosen_device(wish: str, local_rank: int, gpus: int) -> torch.device:
    """The device of a wish: "auto" is a GPU where there is one, and each process of a machine has a GPU of its own.

    Raises:
        TrainingError: there are fewer GPUs than processes.
    """
    kind = ("cuda" if gpus else "cpu") if wish == "auto" else wish
    if kind != "cuda":
        return torch.device(kind)
    if local_rank >= gpus:
        raise TrainingError(
            f"process {local_rank + 1} of this machine has no GPU (there are {gpus}): start one process for each, or set "
            "plan.device=cpu"
        )
    return torch.device("cuda", local_rank)


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


def as_leader(network: nn.Module) -> nn.Module:
    """The network with the leader's weights: statistics of normalisation are each process's own until then."""
    if current_group().size > 1:
        network.load_state_dict(from_leader(network.state_dict()))
    return network


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

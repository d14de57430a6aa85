"""The encoder of a network: held as it is for some steps, then set free at a rate of its own."""

from collections.abc import Sequence

from torch import nn

from training.errors import TrainingError


def encoder_parameters(network: nn.Module, beginnings: Sequence[str]) -> list[nn.Parameter]:
    """The parameters whose names begin so; none for no beginnings.

    Raises:
        TrainingError: a beginning fits no parameter.
    """
    names = [name for name, _ in network.named_parameters()]
    for beginning in beginnings:
        if not any(name.startswith(beginning) for name in names):
            parts = ", ".join(dict.fromkeys(name.partition(".")[0] for name in names))
            raise TrainingError(f"encoder: no parameter's name begins with {beginning!r}; the network's parts are {parts}")
    return [parameter for name, parameter in network.named_parameters() if name.startswith(tuple(beginnings))]


def set_frozen(network: nn.Module, beginnings: Sequence[str], *, frozen: bool) -> None:
    """Hold or free the encoder. A held one's normalisation keeps its statistics too."""
    if not beginnings:
        return
    for parameter in encoder_parameters(network, beginnings):
        parameter.requires_grad_(not frozen)
    if frozen:
        for name, module in network.named_modules():
            if f"{name}.".startswith(tuple(beginnings)):
                module.eval()

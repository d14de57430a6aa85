import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from training.optimisers import OptimiserChoice, make_optimiser
from training.rates import PlateauRates, RateChoice, make_rates, share_of_peak

NAMES = ("one-cycle", "cosine", "polynomial", "plateau", "constant")


def _rates_over(choice: RateChoice, steps: int = 40) -> list[float]:
    network = nn.Linear(2, 2)
    optimiser = make_optimiser(network, OptimiserChoice(rate=1.0))
    rates, found = make_rates(optimiser, choice, steps), []
    for _ in range(steps):
        found.append(float(optimiser.param_groups[0]["lr"]))
        optimiser.step()
        rates.step()
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_rate_warms_up_to_its_peak_and_never_exceeds_it(name: str) -> None:
    found = _rates_over(RateChoice(name, warm_up_share=0.25))  # type: ignore[arg-type]
    assert found[0] < 0.2
    assert found[:10] == sorted(found[:10])
    assert max(found) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("name", ["one-cycle", "cosine", "polynomial"])
def test_a_falling_rate_falls_to_nearly_nothing(name: str) -> None:
    found = _rates_over(RateChoice(name, warm_up_share=0.1))  # type: ignore[arg-type]
    assert found[10:] == sorted(found[10:], reverse=True)
    assert found[-1] < 0.06


@given(st.sampled_from(["cosine", "polynomial", "constant"]), st.integers(1, 500), st.floats(0, 0.5), st.floats(0, 1))
def test_a_share_of_the_peak_lies_between_the_final_share_and_one(name: str, steps: int, warm_up: float, final: float) -> None:
    choice = RateChoice(name, warm_up_share=warm_up, final_share=final)  # type: ignore[arg-type]
    shares = [share_of_peak(choice, step, steps) for step in range(steps + 1)]
    after = shares[round(warm_up * steps) :]
    assert all(0 < share <= 1 + 1e-9 for share in shares[:-1])
    assert all(share >= final - 1e-9 for share in after)


def test_a_plateau_lowers_the_rate_and_remembers_it_over_a_kill() -> None:
    choice = RateChoice("plateau", warm_up_share=0, plateau_factor=0.5, plateau_patience=2)
    optimiser = torch.optim.SGD(nn.Linear(2, 2).parameters(), 1.0)
    rates = PlateauRates(optimiser, choice, 100)
    for score in (0.5, 0.6, 0.6, 0.4):
        rates.look(score)
    optimiser.step()
    rates.step()
    assert optimiser.param_groups[0]["lr"] == 0.5

    resumed_optimiser = torch.optim.SGD(nn.Linear(2, 2).parameters(), 1.0)
    resumed = PlateauRates(resumed_optimiser, choice, 100)
    resumed.load_state_dict(rates.state_dict())
    for score in (0.5, 0.5):
        resumed.look(score)
    resumed_optimiser.step()
    resumed.step()
    assert resumed_optimiser.param_groups[0]["lr"] == 0.25

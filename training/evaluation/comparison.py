"""Champion against challenger on the same cases: a paired test, and a verdict in words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from jaxtyping import Float, Int

from training.evaluation.cases import ScoredCase
from training.evaluation.document import Figure, Section
from training.evaluation.run import REFUSED, CaseResult
from training.metrics.classification import area_under_roc
from training.metrics.intervals import Interval, bootstrap, bootstrap_mean
from training.metrics.paired import delong_p, wilcoxon_p

LEVEL = 0.05
RELEVANT_DICE = 0.005
RELEVANT_AUC = 0.01
"""A gain below these is not worth another device in service."""


class Verdict(Enum):
    """What to do with the champion."""

    REPLACE = "replace"
    KEEP = "keep"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Challenger minus champion.

    Attributes:
        test: name of the paired test that gave p.
        relevant: the least gain that matters.
        among: how many comparisons the verdict rests on; one of them is better beyond chance from p < LEVEL / among
            (Bonferroni).
    """

    figure: str
    of: str
    champion: Interval
    challenger: Interval
    difference: Interval
    p: float
    test: str
    relevant: float
    among: int = 1

    @property
    def verdict(self) -> Verdict:
        """Replace: better beyond chance. Keep: worse beyond chance, or a relevant gain is ruled out. Else undecided."""
        if math.isnan(self.difference.low):
            return Verdict.UNDECIDED
        if self.difference.low > 0 and self.p < LEVEL / self.among:
            return Verdict.REPLACE
        return Verdict.KEEP if self.difference.high < self.relevant else Verdict.UNDECIDED

    def __str__(self) -> str:
        gain = f"{self.difference.estimate:+.3f}"
        if not math.isnan(self.difference.low):
            gain += f" ({self.difference.low:+.3f} to {self.difference.high:+.3f})"
        return (
            f"{self.figure} of {self.of}: champion {self.champion.estimate:.3f}, challenger {self.challenger.estimate:.3f}, "
            f"difference {gain}, p = {self.p:.3g} ({self.test}, n = {self.difference.cases}): {self.verdict.value}"
        )


def compare_segmentation(champion: Sequence[CaseResult], challenger: Sequence[CaseResult], seed: int = 0) -> list[Comparison]:
    """Dice of each structure over the cases that have it; the mean of a patient's cases is one pair of the test.

    Raises:
        ValueError: the two did not run on the same cases.
    """
    if [result.key for result in champion] != [result.key for result in challenger]:
        raise ValueError("champion and challenger were run on different cases")
    scores = [score for result in champion for score in result.structures]
    structures = list(dict.fromkeys(score.structure for score in scores if score.truth_ml))
    return [replace(_compare_dice(champion, challenger, structure, seed), among=len(structures)) for structure in structures]


def compare_classification(
    champion: Sequence[ScoredCase], challenger: Sequence[ScoredCase], model: str, *, of: str = "", among: int = 1, seed: int = 0
) -> Comparison:
    """AUC of one model, case by case; DeLong's test where each patient has one case, else the bootstrap by patient.

    Args:
        champion: the cases with its scores.
        challenger: the same cases with its own.
        model: whose scores are compared.
        of: what it is about, if not the model.
        among: as in Comparison.
        seed: of the bootstrap.

    Raises:
        ValueError: the two did not run on the same cases.
    """
    if [(case.key, case.positive) for case in champion] != [(case.key, case.positive) for case in challenger]:
        raise ValueError("champion and challenger were run on different cases")
    truth = np.array([case.positive for case in champion])
    old, new = (np.array([case.scores[model] for case in cases]) for cases in (champion, challenger))
    patients = [case.patient for case in champion]

    def gain(chosen: Int[np.ndarray, "chosen"]) -> float:
        return area_under_roc(truth[chosen], new[chosen]) - area_under_roc(truth[chosen], old[chosen])

    difference = bootstrap(gain, patients, seed)
    independent = len(set(patients)) == len(patients)
    return Comparison(
        figure="AUC",
        of=of or model,
        champion=bootstrap(lambda chosen: area_under_roc(truth[chosen], old[chosen]), patients, seed),
        challenger=bootstrap(lambda chosen: area_under_roc(truth[chosen], new[chosen]), patients, seed),
        difference=difference,
        p=delong_p(truth, new, old) if independent else _bootstrap_p(difference),
        test="DeLong" if independent else "bootstrap by patient",
        relevant=RELEVANT_AUC,
        among=among,
    )


def overall(comparisons: Sequence[Comparison]) -> Verdict:
    """Replace where something is better and nothing is worse beyond chance; keep where nothing can be better.

    Without a comparison: undecided.
    """
    verdicts = [comparison.verdict for comparison in comparisons]
    worse = any(comparison.difference.high < 0 for comparison in comparisons)
    if worse or (verdicts and all(verdict is Verdict.KEEP for verdict in verdicts)):
        return Verdict.KEEP
    return Verdict.REPLACE if Verdict.REPLACE in verdicts else Verdict.UNDECIDED


def verdict_in_words(comparisons: Sequence[Comparison]) -> str:
    """One sentence for the person who decides."""
    reasons = {
        Verdict.REPLACE: "Replace the champion: the challenger is better beyond chance, and nowhere worse beyond chance.",
        Verdict.KEEP: "Keep the champion: the challenger is worse somewhere, or a gain that matters is ruled out.",
        Verdict.UNDECIDED: "Undecided: these cases cannot tell the two apart; evaluate on more of them.",
    }
    return reasons[overall(comparisons)]


def comparison_section(comparisons: Sequence[Comparison], champion: str, notes: Sequence[str] = ()) -> Section:
    """The chapter.

    Args:
        comparisons: all that are shown.
        champion: the other model's name, version and digest.
        notes: further sentences.
    """
    among = max((comparison.among for comparison in comparisons), default=1)
    level = f"Better beyond chance is one of {among} figures from p < {LEVEL / among:.2g} (Bonferroni)."
    figures = [
        Figure(f"{comparison.figure}, {who}", comparison.of, interval)
        for comparison in comparisons
        for who, interval in (
            ("champion", comparison.champion),
            ("challenger", comparison.challenger),
            ("difference", comparison.difference),
        )
    ]
    return Section(
        title="Champion against challenger",
        text=(f"Champion: {champion}.", *(f"{each}." for each in comparisons), *([level] if among > 1 else []), *notes),
        figures=tuple(figures),
    )


def what_dice_leaves_out(champion: Sequence[CaseResult], challenger: Sequence[CaseResult]) -> tuple[str, ...]:
    """Refusals of either, and what either found of structures where there is none: no part of the verdict."""
    refused = [sum(result.outcome == REFUSED for result in results) for results in (champion, challenger)]
    counted = f"{refused[0]} of {len(champion)} cases by the champion, {refused[1]} by the challenger"
    notes = [f"Refused, which counts as nothing found: {counted}."]
    for structure in dict.fromkeys(score.structure for result in champion for score in result.structures):
        old, new = (_found_where_none_ml(results, structure) for results in (champion, challenger))
        if old:
            notes.append(
                f"{structure} found where there is none (n = {len(old)}): mean {np.mean(old):.1f} ml by the champion, "
                f"{np.mean(new):.1f} ml by the challenger; no part of the verdict."
            )
    return tuple(notes)


def _found_where_none_ml(results: Sequence[CaseResult], structure: str) -> list[float]:
    scores = [score for result in results for score in result.structures if score.structure == structure]
    return [score.found_ml for score in scores if not score.truth_ml]


def _compare_dice(champion: Sequence[CaseResult], challenger: Sequence[CaseResult], structure: str, seed: int) -> Comparison:
    old, new = (_dices(results, structure) for results in (champion, challenger))
    patients = [result.patient for result in champion]
    pairs = [_by_patient(values, patients) for values in (old, new)]
    return Comparison(
        figure="Dice",
        of=structure,
        champion=bootstrap_mean(old, patients, seed),
        challenger=bootstrap_mean(new, patients, seed),
        difference=bootstrap_mean(new - old, patients, seed),
        p=wilcoxon_p(pairs[1], pairs[0]),
        test="Wilcoxon signed-rank",
        relevant=RELEVANT_DICE,
    )


def _dices(results: Sequence[CaseResult], structure: str) -> Float[np.ndarray, "cases"]:
    """Of each case; nan where it does not have the structure, as in the chapter on segmentation."""
    own = ({score.structure: score.dice for score in result.structures if score.truth_ml} for result in results)
    return np.array([dices.get(structure, math.nan) for dices in own])


def _by_patient(values: Float[np.ndarray, "cases"], patients: Sequence[str]) -> Float[np.ndarray, "patients"]:
    """Mean of each patient over the cases that have the structure."""
    named = np.array(patients)
    kept = ~np.isnan(values)
    return np.array([values[kept & (named == patient)].mean() for patient in dict.fromkeys(named[kept].tolist())])


def _bootstrap_p(difference: Interval) -> float:
    """Two-sided p of a normal whose 95 % interval is the bootstrap's."""
    spread = (difference.high - difference.low) / (2 * 1.96)
    return math.erfc(abs(difference.estimate) / spread / math.sqrt(2)) if spread > 0 else float(difference.estimate == 0)

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from training.cases import Case
from training.commands import TrainingRequest, train_folds, train_recipe
from training.errors import LabelError, TrainingError
from training.real_cases import FIRST_REAL, Beside, RealForm, real_cases, with_real
from training.recipes import example
from training.run import Run
from training.sampling import Pool
from training.splits import Fold

FORM = RealForm(("background", "ball"), (3.0, 3.0, 3.0), "CT", -1000.0)
SHORT = ("plan.steps=4", "plan.validation_steps=2", "plan.checkpoint_steps=2", "phantoms=3", "validation_phantoms=1")


def ball_data(folder: Path, cases: int = 4) -> Path:
    for number in range(cases):
        for part, values in zip(("images", "labels"), example.make_case(number, 24), strict=True):
            image: Any = sitk.GetImageFromArray(values)
            image.SetSpacing((3.0, 3.0, 3.0))
            (folder / part).mkdir(parents=True, exist_ok=True)
            sitk.WriteImage(image, str(folder / part / f"case{number}.nii.gz"))
    return folder


def _as_nnunet(folder: Path, structure: str) -> Path:
    (folder / "labels").rename(folder / "labelsTr")
    (folder / "imagesTr").mkdir()
    for path in (folder / "images").iterdir():
        path.rename(folder / "imagesTr" / path.name.replace(".nii", "_0000.nii"))
    labels = f'{{"background": 0, "{structure}": 1}}'
    (folder / "dataset.json").write_text(f'{{"channel_names": {{"0": "CT"}}, "labels": {labels}}}')
    return folder


def test_cases_are_read_once_and_divided_by_fold(tmp_path: Path) -> None:
    data = ball_data(tmp_path / "data")
    run = Run(tmp_path / "run", data)
    whole = real_cases(run, FORM)
    assert whole is not None
    assert (whole.training, whole.held_out) == ((0, 1, 2, 3), ())
    image, labels = whole.load(2)
    expected = example.make_case(2, 24)
    assert np.array_equal(image, expected[0])
    assert np.array_equal(labels, expected[1])
    (data / "images" / "case0.nii.gz").unlink()
    fold = real_cases(Run(tmp_path / "run", data, Fold(1, 4)), FORM)
    assert fold is not None
    assert sorted((*fold.training, *fold.held_out)) == [0, 1, 2, 3]
    assert len(fold.held_out) == 1


def test_without_data_there_are_only_phantoms(tmp_path: Path) -> None:
    assert real_cases(Run(tmp_path), FORM) is None
    assert with_real(Pool(lambda number: example.make_case(number, 8), [1]), None, 0.5).real is None


def test_structures_that_the_network_does_not_learn_are_refused(tmp_path: Path) -> None:
    form = RealForm(example.LABELS, (3.0, 3.0, 3.0), "CT", -1000.0)
    data = _as_nnunet(ball_data(tmp_path / "data", 1), "kidney")
    with pytest.raises(LabelError, match=r"structures kidney; the network learns ball"):
        real_cases(Run(tmp_path / "run", data), form)


def test_one_model_is_trained_for_each_fold_and_measured_on_what_it_left_out(tmp_path: Path) -> None:
    data = _as_nnunet(ball_data(tmp_path / "data"), "Ball")
    request = TrainingRequest("example", tmp_path / "runs", data, SHORT)
    (score,) = train_folds(request, 2)
    assert (score.structure, score.cases) == ("ball", 4)
    assert 0 <= score.mean <= 1
    assert "Dice" in str(score)
    assert (tmp_path / "runs" / "fold-2-of-2" / "example" / "SHA256SUMS").exists()
    assert train_folds(request, 2) == (score,), "finished folds are only read"
    with pytest.raises(TrainingError, match="--folds needs --data"):
        train_folds(TrainingRequest("example", tmp_path, None, SHORT), 2)


def test_folds_of_a_recipe_that_measures_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="does not measure what a fold leaves out"):
        train_folds(TrainingRequest("nodule-malignancy", tmp_path / "run", tmp_path), 2)


def test_other_names_and_preparations_of_a_recipe_are_followed(tmp_path: Path) -> None:
    def halved(case: Case) -> Case:
        return case[0][:12], case[1][:12]

    form = replace(FORM, labels=("background", "liver", "lesion"), also={"Sphere": 2}, prepare=halved)
    found = real_cases(Run(tmp_path / "run", _as_nnunet(ball_data(tmp_path / "data", 1), "sphere")), form)
    assert found is not None
    image, labels = found.load(0)
    assert image.shape == labels.shape == (12, 24, 24)
    assert set(np.unique(labels)) == {0, 2}


def test_real_cases_stand_beside_synthetic_ones_by_number(tmp_path: Path) -> None:
    data = ball_data(tmp_path / "data", 2)
    cases = Beside(lambda number: example.make_case(number + 50, 24), real_cases(Run(tmp_path / "run", data), FORM))
    numbers = cases.numbers(range(3))
    assert numbers == (0, 1, 2, FIRST_REAL, FIRST_REAL + 1)
    assert np.array_equal(cases.load(numbers[1])[0], example.make_case(51, 24)[0])
    assert np.array_equal(cases.load(numbers[4])[0], example.make_case(1, 24)[0])
    assert Beside(lambda number: example.make_case(number, 24), None).numbers(range(2)) == (0, 1)


def test_options_that_a_recipe_does_not_heed_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="image-classifier has no use for --data"):
        train_recipe(TrainingRequest("image-classifier", tmp_path / "run", tmp_path))
    with pytest.raises(TrainingError, match="--fold divides the patients of --data"):
        train_recipe(TrainingRequest("example", tmp_path / "run", fold="1/2"))
    assert not (tmp_path / "run").exists()


def test_a_deployed_model_is_trained_further(tmp_path: Path) -> None:
    first = train_recipe(TrainingRequest("example", tmp_path / "first", overrides=SHORT))
    assert first is not None
    further = train_recipe(TrainingRequest("example", tmp_path / "further", overrides=SHORT, start_from=first.path))
    assert further is not None
    assert further.weights_digest != first.weights_digest
    frozen = (*SHORT, 'plan.encoder=["input_block", "downsamples"]', "plan.frozen_steps=2", "plan.encoder_rate_share=0.1")
    held = train_recipe(TrainingRequest("example", tmp_path / "held", overrides=frozen, start_from=first.path))
    assert held is not None

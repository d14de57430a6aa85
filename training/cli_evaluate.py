"""The command `dicom-node evaluate`; torch and its friends are imported when it runs."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

Package = Annotated[
    Path | None, typer.Option(help="The model package to evaluate; the engine's own if not given.", exists=True)
]
Champion = Annotated[
    Path | None, typer.Option(help="A model package in service: is --package better on these cases?", exists=True)
]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label", help="A label of the data by the engine's name: 3=liver or Tumor=lesion; may be repeated."),
]
Roles = Annotated[
    list[str] | None, typer.Option(help="A channel of the images as companion series: role=number; may be repeated.")
]


def evaluate(
    engine: Annotated[str, typer.Argument(help="The engine, such as lung-segmentation.")],
    output: Annotated[Path, typer.Option(help="Folder for report.html and metrics.json.")],
    data: Annotated[Path | None, typer.Option(help="Labelled cases: a folder, or an npz file of patches.", exists=True)] = None,
    phantoms: Annotated[int, typer.Option(help="So many phantoms of held-out seeds instead.", min=0)] = 0,
    package: Package = None,
    champion: Champion = None,
    labels: Labels = None,
    role: Roles = None,
    modality: Annotated[str, typer.Option(help="Of NIfTI images, whose files do not say it.")] = "CT",
    spacing_mm: Annotated[str, typer.Option(help="Of patches: slice, row, column.")] = "1,1,1",
    window: Annotated[
        str, typer.Option(help="Of patches of eight bits: what 0 and 255 stand for in HU, such as -1200,400.")
    ] = "",
    option: Annotated[list[str] | None, typer.Option(help="An option of the engine: key=value; may be repeated.")] = None,
    module: Annotated[str, typer.Option(help="Module or .py file of an engine that is not in the catalog.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda[:n].")] = "auto",
    tolerance_mm: Annotated[float, typer.Option(help="Of the surface Dice.", min=0)] = 2.0,
) -> None:
    """Measure a model on labelled cases or phantoms: one report (HTML and JSON), with a champion's beside it if wanted."""
    try:
        from training.evaluation.commands import REFUSALS, EvaluationRequest, evaluate_request
    except ModuleNotFoundError as error:
        _refuse(f"{error.name} is not installed; evaluation needs it: pip install 'dicom-node[training]'")
    request = EvaluationRequest(
        engine=engine,
        output=output,
        data=data,
        phantoms=phantoms,
        package=package,
        champion=champion,
        labels=tuple(labels or ()),
        roles=tuple(role or ()),
        options=tuple(option or ()),
        module=module,
        device=device,
        modality=modality,
        spacing_mm=spacing_mm,
        window=window,
        tolerance_mm=tolerance_mm,
    )
    try:
        report = evaluate_request(request, typer.echo)
    except REFUSALS as error:
        _refuse(str(error))
    if report.verdict:
        typer.echo(report.verdict)
    typer.echo(str(output / "report.html"))


def _refuse(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)

"""The language of rules: on which series an engine runs."""

import re
from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from dicom_node.config.fields import AeTitle, Keyword, Name, OneOrMany, Pattern, Section

_CODE = re.compile(r"[^^]+\^[^^]+")


class Scope(StrEnum):
    """Which instances of the series must have the attribute as asked for."""

    ALL = "all"
    ANY = "any"
    FIRST = "first"


class Orientation(StrEnum):
    """The body axis that the slices' normal is nearest to."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"


class Range(Section):
    """A number's bounds, both included."""

    min: float | None = Field(default=None, description="not less than this")
    max: float | None = Field(default=None, description="not more than this")

    @field_validator("max")
    @classmethod
    def _ordered(cls, value: float | None, info: ValidationInfo) -> float | None:
        return _above_minimum(value, info)

    def holds(self, value: float) -> bool:
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)


class Condition(Section):
    """What must be true of a series; every key that is given must hold, an empty table always does."""

    modality: Annotated[tuple[str, ...], OneOrMany] = Field(default=(), description='Modality is one of these: "CT", or a list')
    body_part: Pattern | None = Field(default=None, description="regular expression that Body Part Examined matches somewhere")
    calling_ae_title: Annotated[tuple[AeTitle, ...], OneOrMany] = Field(default=(), description="AE titles it was sent from")
    orientation: Annotated[tuple[Orientation, ...], OneOrMany] = Field(
        default=(), description="axial, coronal, sagittal: nearest plane"
    )
    slice_count: Range | None = Field(default=None, description="number of slices (frames of a multi-frame): { min = , max = }")
    slice_thickness_mm: Range | None = Field(
        default=None, description="Slice Thickness, where absent the distance of slices: { min = , max = }"
    )
    attribute: Keyword | None = Field(
        default=None, description="a DICOM keyword, dots step into sequences; tested by the keys below"
    )
    scope: Scope = Field(default=Scope.ALL, description="instances that must pass the test: all, any or first")
    equals: str | None = Field(default=None, description="a value of the attribute is exactly this")
    one_of: tuple[str, ...] | None = Field(default=None, validation_alias="in", description="a value is one of these")
    matches: Pattern | None = Field(
        default=None, description="regular expression that a value matches somewhere; (?i) ignores case"
    )
    not_matches: Pattern | None = Field(default=None, description="regular expression that no value matches; true if absent")
    min: float | None = Field(default=None, description="a value is a number not less than this")
    max: float | None = Field(default=None, description="a value is a number not more than this")
    code: str | None = Field(default=None, description="a value is this code: value^scheme, as in 39607008^SCT")
    present: bool | None = Field(default=None, description="the attribute is there with a value, or not")
    all_of: "tuple[Condition, ...]" = Field(default=(), description="conditions that must all hold")
    any_of: "tuple[Condition, ...]" = Field(default=(), description="conditions of which at least one must hold")
    none_of: "tuple[Condition, ...]" = Field(default=(), description="conditions of which none may hold")

    @field_validator("max")
    @classmethod
    def _ordered(cls, value: float | None, info: ValidationInfo) -> float | None:
        return _above_minimum(value, info)

    @field_validator("code")
    @classmethod
    def _is_code(cls, value: str | None) -> str | None:
        if value is not None and not _CODE.fullmatch(value):
            raise ValueError('must be "value^scheme", such as "39607008^SCT"')
        return value

    @model_validator(mode="after")
    def _test_of_an_attribute(self) -> "Condition":
        tests = [name for name in TESTS if getattr(self, name) is not None]
        if self.attribute and not tests:
            raise ValueError(f"attribute {self.attribute} needs a test: one of {', '.join(map(key_of, TESTS))}")
        if tests and not self.attribute:
            raise ValueError(f'{key_of(tests[0])} needs an attribute: attribute = "SeriesDescription"')
        return self


TESTS = ("equals", "one_of", "matches", "not_matches", "min", "max", "code", "present")


def key_of(name: str) -> str:
    """The name of a test as the file spells it."""
    return "in" if name == "one_of" else name


class Preference(Section):
    """One criterion for the best series; exactly one of order, thinnest_from_mm and most_slices."""

    attribute: Keyword = Field(default="ConvolutionKernel", description="DICOM keyword that `order` looks at")
    order: tuple[Pattern, ...] = Field(
        default=(), description="regular expressions of its value, best first; no match comes last"
    )
    thinnest_from_mm: float | None = Field(
        default=None, gt=0, description="thinner slices are better, down to this; thinner still is no better"
    )
    most_slices: bool = Field(default=False, description="more slices are better")

    @model_validator(mode="after")
    def _one_criterion(self) -> "Preference":
        if (bool(self.order) + (self.thinnest_from_mm is not None) + self.most_slices) != 1:
            raise ValueError(
                "a preference has exactly one of order, thinnest_from_mm and most_slices; write one table for each"
            )
        return self


class RoleSettings(Section):
    """Which other series of the study takes a role that the engine has for one (as `t1c`); a missing one is normal."""

    when: Annotated[tuple[Condition, ...], OneOrMany] = Field(description="conditions, all of which must hold")
    prefer: Annotated[tuple[Preference, ...], OneOrMany] = Field(
        default=(), description="what makes a series better, most important first; ties: the lower Series Instance UID"
    )


def _conditions_alone(value: object) -> object:
    return {"when": value} if isinstance(value, list) else value


class RuleSettings(Section):
    """An engine and the series it runs on. Of an engine's rules the first that matches a series decides."""

    engine: Name = Field(description="name of the engine")
    when: Annotated[tuple[Condition, ...], OneOrMany] = Field(
        default=(), description="conditions, all of which must hold; none: every image series"
    )
    priority: int = Field(default=0, ge=-1000, le=1000, description="jobs of higher priority run first")
    best_of_study: bool = Field(default=False, description="run on one series of a study: the best of those that qualify")
    prefer: Annotated[tuple[Preference, ...], OneOrMany] = Field(
        default=(), description="what makes a series better, most important first; ties: the lower Series Instance UID"
    )
    roles: dict[str, Annotated[RoleSettings, BeforeValidator(_conditions_alone)]] = Field(
        default_factory=dict,
        description="other series of the study that the engine uses, by role: { t1c = { when = [...], prefer = [...] } }",
    )
    destinations: tuple[str, ...] | None = Field(
        default=None, description="names of the destinations for results; absent for all"
    )


def _above_minimum(value: float | None, info: ValidationInfo) -> float | None:
    lower = info.data.get("min")
    if value is not None and lower is not None and value < lower:
        raise ValueError(f"must not be less than min ({lower:g})")
    return value

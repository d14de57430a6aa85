"""What an engine is: one class in one file of engine/catalog (or of a module that the configuration names)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

from engine.findings import Algorithm, Code, Findings
from engine.projection import ProjectionImage
from engine.volume import Volume

Progress = Callable[[str, float], None]


class Refusal(Exception):
    """The engine or the reader declines this input, with the reason for the physician; nothing is broken.

    The message names no patient.
    """


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine says of itself without being loaded.

    Attributes:
        name: as in the configuration ("lung-segmentation").
        title: for tables and Series Descriptions ("lung segmentation").
        content_label: SEG Content Label, at most 16 characters of A-Z, 0-9, space and underscore.
        modalities: accepted values of Modality.
        roles: other series of the study that the engine can use beside its own ("t1c"), all of them optional. Which series
            takes which role is for the routing rule to say.
    """

    name: str
    title: str
    content_label: str
    modalities: tuple[str, ...]
    finding_category: Code
    finding_type: Code
    procedure_reported: Code
    roles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Context:
    """What the runtime gives to an engine.

    Attributes:
        device: "auto", "cpu" or "cuda[:n]"; "auto" takes CUDA where there is a GPU.
        options: the engine's own block of configuration.
        progress: called with a word for the step and the share done, 0..1.
        memory_limit_bytes: what one pass of a network over a volume may take; None for what usually fits.
    """

    device: str = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)
    progress: Progress = lambda step, share: None
    memory_limit_bytes: int | None = None


class _Loaded(Protocol):
    """A loaded engine; it stays in memory between series (warm).

    The class itself carries `info` and takes a Context; loading the weights may happen in `__init__` or on the first call.
    """

    info: ClassVar[EngineInfo]

    def algorithm(self) -> Algorithm:
        """Who computes: name, version, maker, digest of the weights, device."""


class Engine(_Loaded, Protocol):
    """An engine for stacks of slices (CT, MR)."""

    def analyse(self, volume: Volume) -> Findings:
        """Findings on the volume's own grid.

        Raises:
            Refusal: the volume is not what the engine was made for.
        """


@runtime_checkable
class CompanionEngine(_Loaded, Protocol):
    """An engine for several series of a study at once: its own, and those that the rule found for its roles."""

    def analyse_with(self, volume: Volume, companions: Mapping[str, Volume]) -> Findings:
        """Findings on the grid of `volume`; companions by role, none of them sure to be there, each on its own grid.

        Raises:
            Refusal: the volume is not what the engine was made for.
        """


@runtime_checkable
class ProjectionEngine(_Loaded, Protocol):
    """An engine for projection images (CR, DX, MG ...): all those of a series."""

    def analyse_images(self, images: Sequence[ProjectionImage]) -> Findings:
        """Findings about the images as wholes.

        Raises:
            Refusal: none of the images is what the engine was made for.
        """


AnyEngine = Engine | CompanionEngine | ProjectionEngine

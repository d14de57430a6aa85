"""What is evaluated: an engine with one of its model packages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from engine.api import AnyEngine, Context
from engine.loading import load_engine


@dataclass(frozen=True)
class Subject:
    """What is evaluated: an engine with a model package, the shipped one if None."""

    engine: str
    package: Path | None = None
    module: str = ""
    device: str = "auto"
    options: Mapping[str, str] = field(default_factory=dict)

    def load(self) -> AnyEngine:
        """The engine with this package, warm.

        Raises:
            engine.loading.EngineNotFoundError: there is no such engine.
            engine.models.ModelPackageError: the package is damaged.
        """
        package = {} if self.package is None else {"package": str(self.package)}
        return load_engine(self.engine, Context(device=self.device, options={**self.options, **package}), self.module)


def identity_of(engine: AnyEngine) -> dict[str, str]:
    """What says which model this was, without doubt."""
    algorithm = engine.algorithm()
    return {
        "engine": engine.info.name,
        "model": algorithm.name,
        "version": algorithm.version,
        "maker": algorithm.manufacturer,
        "SHA-256 of the weights": algorithm.weights_digest,
        "ran on": algorithm.device,
        "parameters": algorithm.parameters,
        "dicom-node": version("dicom-node"),
    }


def name_of(engine: AnyEngine) -> str:
    """Name, version and digest in a few words."""
    algorithm = engine.algorithm()
    return f"{algorithm.name} {algorithm.version}, weights {algorithm.weights_digest[:12]}"

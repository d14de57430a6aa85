"""Engines by name: a file of engine/catalog, or a module or file that the configuration names."""

import hashlib
import importlib
import importlib.util
import inspect
import pkgutil
import sys
from pathlib import Path
from types import ModuleType
from typing import cast

from engine import catalog
from engine.api import AnyEngine, Context, EngineInfo


class EngineNotFoundError(LookupError):
    """No such engine; the message says where it was looked for and what there is."""


def available() -> tuple[str, ...]:
    """Names of the engines in engine/catalog, without importing them."""
    return tuple(m.name.replace("_", "-") for m in pkgutil.iter_modules(catalog.__path__) if not m.name.startswith("_"))


def engine_class(name: str, module: str = "") -> type[AnyEngine]:
    """The class of an engine, not yet loaded.

    Args:
        name: as in the configuration ("lung-segmentation").
        module: empty for engine/catalog; else "package.module" or the path of a .py file.

    Raises:
        EngineNotFoundError: no module, or no class in it whose `info.name` is the name.
    """
    found = _module(name, module)
    for _, candidate in inspect.getmembers(found, inspect.isclass):
        info = getattr(candidate, "info", None)
        if candidate.__module__ == found.__name__ and isinstance(info, EngineInfo) and info.name == name:
            return cast("type[AnyEngine]", candidate)
    raise EngineNotFoundError(f"{found.__file__} has no class with `info = EngineInfo(name={name!r}, ...)`")


def engine_info(name: str, module: str = "") -> EngineInfo:
    """What an engine says of itself, without its weights.

    Raises:
        EngineNotFoundError: as engine_class.
    """
    return engine_class(name, module).info


def load_engine(name: str, context: Context, module: str = "") -> AnyEngine:
    """An engine ready to analyse.

    Raises:
        EngineNotFoundError: as engine_class.
    """
    make = engine_class(name, module)
    return make(context)  # type: ignore[call-arg]  # a Protocol cannot say what the constructor takes


def _module(name: str, module: str) -> ModuleType:
    if module.endswith(".py"):
        return _from_file(Path(module))
    dotted = module or f"{catalog.__name__}.{name.replace('-', '_')}"
    try:
        return importlib.import_module(dotted)
    except ModuleNotFoundError as error:
        if error.name and not dotted.startswith(error.name):
            raise
        known = ", ".join(available())
        raise EngineNotFoundError(
            f"no engine {name!r}: there is no module {dotted}; engines in the catalog: {known}"
        ) from error


def _from_file(path: Path) -> ModuleType:
    """The module stands among the imported ones while its file runs: a dataclass looks its own module up there."""
    spec = importlib.util.spec_from_file_location(_module_name(path), path)
    if spec is None or spec.loader is None or not path.is_file():
        raise EngineNotFoundError(f"no engine file {path}")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    try:
        spec.loader.exec_module(loaded)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return loaded


def _module_name(path: Path) -> str:
    """Of the whole path: files of one name in two folders are two modules."""
    where = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    return f"engine_file_{path.stem}_{where}"

"""Engines are found by their name, and what is wrong with one is said in a sentence."""

import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.api import Context, EngineInfo
from engine.loading import EngineNotFoundError, available, engine_class, engine_info, load_engine

EXAMPLE = str(Path(__file__).parents[1] / "example_engine.py")


def test_every_file_of_the_catalog_is_an_engine_by_its_name():
    assert "lung-segmentation" in available()
    for name in available():
        assert engine_info(name).name == name


@pytest.mark.parametrize("name", available())
def test_an_engine_of_the_catalog_says_what_a_node_needs_before_it_is_loaded(name):
    info = engine_info(name)
    assert isinstance(info, EngineInfo)
    assert info.modalities
    assert 1 <= len(info.content_label) <= 16
    assert set(info.content_label) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ ")
    methods = {name for name, _ in inspect.getmembers(engine_class(name), callable)}
    assert "algorithm" in methods
    assert methods & {"analyse", "analyse_with", "analyse_images"}


def test_private_modules_of_the_catalog_are_no_engines():
    assert not any(name.startswith("-") for name in available())


def test_one_new_file_is_an_engine():
    engine = load_engine("body-air", Context(options={"minimum_ml": 5}), EXAMPLE)
    assert engine.info.name == "body-air"
    assert engine.algorithm().parameters == "minimum 5 ml"


def test_a_module_that_can_be_imported_is_an_engine():
    assert engine_info("body-air", "tests.example_engine") == engine_class("body-air", "tests.example_engine").info


def test_an_unknown_name_is_answered_with_the_catalog():
    with pytest.raises(
        EngineNotFoundError, match=r"no engine 'liver': there is no module engine\.catalog\.liver; .*lung-segmentation"
    ):
        engine_class("liver")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(EngineNotFoundError, match=r"no engine file .*absent\.py"):
        engine_class("liver", str(tmp_path / "absent.py"))


def test_a_file_without_the_engine_says_which_line_it_needs():
    with pytest.raises(EngineNotFoundError, match=r"example_engine\.py has no class with `info = EngineInfo\(name='liver'"):
        engine_class("liver", EXAMPLE)


def test_a_class_that_a_file_only_imports_is_not_its_engine(tmp_path):
    file = tmp_path / "borrows.py"
    file.write_text("from tests.example_engine import BodyAir\n")
    with pytest.raises(EngineNotFoundError, match="borrows"):
        engine_class("body-air", str(file))


DATACLASS_ENGINE = """
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.api import Context, EngineInfo
from tests.example_engine import BodyAir


@dataclass
class Engine:
    context: Context
    said: ClassVar[str] = "{said}"
    info: ClassVar[EngineInfo] = BodyAir.info
"""


def test_a_file_may_hold_a_dataclass_with_postponed_annotations(tmp_path):
    file = tmp_path / "postponed.py"
    file.write_text(DATACLASS_ENGINE.format(said="once"))
    context = Context()
    engine: Any = load_engine("body-air", context, str(file))
    assert engine.context is context


def test_files_of_one_name_in_two_folders_are_two_modules(tmp_path):
    made: list[Any] = []
    for said in ("first", "second"):
        (tmp_path / said).mkdir()
        file = tmp_path / said / "engine.py"
        file.write_text(DATACLASS_ENGINE.format(said=said))
        made.append(engine_class("body-air", str(file)))
    assert [each.said for each in made] == ["first", "second"]
    assert [sys.modules[each.__module__].Engine for each in made] == made


def test_a_file_that_fails_leaves_no_module_behind(tmp_path):
    file = tmp_path / "fails_half_way.py"
    file.write_text("raise RuntimeError('half way')\n")
    with pytest.raises(RuntimeError, match="half way"):
        engine_class("body-air", str(file))
    assert not [name for name in sys.modules if "fails_half_way" in name]


def test_a_library_that_an_engine_lacks_is_not_taken_for_a_missing_engine(tmp_path, monkeypatch):
    (tmp_path / "needs_more.py").write_text("import no_such_library_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    with pytest.raises(ModuleNotFoundError, match="no_such_library_at_all"):
        engine_class("body-air", "needs_more")

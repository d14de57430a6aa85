import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest
import typer
from typer.testing import CliRunner

from dicom_node.cli.commands.extensions import GROUP, add_found
from tests.dicom_node.cli.program import dicom_node


@pytest.fixture
def application() -> typer.Typer:
    application = typer.Typer()
    application.command(name="own")(lambda: print("own"))
    return application


def test_the_command_of_another_package_stands_beside_the_nodes_own(application: typer.Typer) -> None:
    add_found(application, [EntryPoint("added", "tests.dicom_node.cli.test_extensions:added", GROUP)])
    assert CliRunner().invoke(application, ["added", "--words", "said"]).stdout == "said\n"
    assert CliRunner().invoke(application, ["own"]).stdout == "own\n"


def added(words: str = "") -> None:
    print(words)


def test_a_command_that_cannot_be_loaded_says_so_and_spares_the_others(application: typer.Typer) -> None:
    add_found(application, [EntryPoint("broken", "no_such_package_anywhere:command", GROUP)])
    refused = CliRunner().invoke(application, ["broken"])
    assert refused.exit_code == 1
    assert "no_such_package_anywhere" in refused.output
    assert "install its package again" in refused.output
    assert CliRunner().invoke(application, ["own"]).stdout == "own\n"


def test_training_adds_its_commands() -> None:
    shown = dicom_node("--help").stdout
    assert "train" in shown
    assert "export" in shown


def test_help_of_the_training_commands_loads_no_torch() -> None:
    program = "import training.cli, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert not {"torch", "monai", "engine", "sklearn"} & set(loaded.stdout.split())

"""A wrong configuration or command line is answered with what to do, never with a traceback."""

import subprocess

import pytest

from tests.dicom_node.cli.program import configuration, dicom_node

COMMANDS = ["serve", "demo", "check", "explain", "infer", "status", "jobs", "why", "retry", "models"]

MISTAKES = """
[assemble]
quiet = 3

[asemble]

[[engine]]
name = "mine"
module = "mine.engine"

[[rule]]
engine = "lungs"

[[destination]]
name = "pacs"
ae_title = "PACS"
host = "pacs"
port = 70000
kinds = ["SEGG"]
"""
SAID = {
    5: "[assemble] quiet = 3: unknown key; did you mean 'quiet_s'?",
    7: "[asemble] = {...}: unknown key; did you mean 'assemble'?",
    10: "[engine 1] name = 'mine': no [[rule]] says when it runs",
    14: "[rule 1] engine = 'lungs':",
    20: "[destination 1] port = 70000:",
    21: "[destination 1] kinds 1 = 'SEGG': must be 'SEG', 'SR', 'SC' or 'PM'; did you mean 'SEG'?",
}


def refused(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 78, done.stdout + done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_every_mistake_is_named_by_file_line_key_and_remedy(tmp_path):
    path = configuration(tmp_path, MISTAKES)
    done = dicom_node("check", config=path)
    refused(done)
    for line, words in SAID.items():
        assert f"{path}:{line}: {words}" in done.stderr


@pytest.mark.parametrize("command", [["serve"], ["serve", "--only", "process"], ["infer", "body-air", "."]])
def test_every_command_that_reads_the_configuration_refuses_it(tmp_path, command):
    output = ["--output", tmp_path / "out"] if command[0] == "infer" else []
    refused(dicom_node(*command, *output, config=configuration(tmp_path, "[nod]\n")))


def test_a_file_that_is_not_there_says_how_to_get_one(tmp_path):
    done = dicom_node("status", config=tmp_path / "absent.toml")
    refused(done)
    assert "absent.toml: no such file" in done.stderr
    assert "conf/node.toml" in done.stderr


def test_a_file_that_is_no_toml_is_refused(tmp_path):
    done = dicom_node("status", config=configuration(tmp_path, "port = = 1\n"))
    refused(done)
    assert "is not TOML" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    ["nonsense", "jobs --state asleep", "infer body-air /no/such/folder --output out"],
)
def test_a_wrong_command_line_ends_with_2(arguments):
    done = dicom_node(*arguments.split())
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_help_lists_every_command_and_the_exit_statuses():
    done = dicom_node("--help")
    assert done.returncode == 0
    assert all(f" {command} " in done.stdout for command in COMMANDS)
    assert "78" in done.stdout


def test_the_version_is_said():
    done = dicom_node("--version")
    assert (done.returncode, done.stdout.split()[0]) == (0, "dicom-node")


def test_a_node_that_never_ran_has_no_ledger_to_ask(tmp_path):
    done = dicom_node("status", config=configuration(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith(f"no ledger at {tmp_path}")
    assert "Traceback" not in done.stderr

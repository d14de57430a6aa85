"""check and models: what is wrong is found before the first patient."""

import pytest

from tests.dicom_node.cli.program import ENGINE, answer, configuration, dicom_node
from tests.pacs_servers import Orthanc, free_port, orthanc, storescp


def destination(name: str, ae_title: str, port: int, more: str = "") -> str:
    return f'\n[[destination]]\nname = "{name}"\nae_title = "{ae_title}"\nhost = "127.0.0.1"\nport = {port}\n{more}'


@pytest.fixture(scope="module")
def pacs(tmp_path_factory):
    with orthanc(tmp_path_factory.mktemp("pacs") / "orthanc", DicomCheckCalledAet=True) as running:
        yield running


@pytest.mark.orthanc
@pytest.mark.dcmtk
def test_a_node_with_two_answering_pacs_is_ready(tmp_path, pacs: Orthanc):
    with storescp(tmp_path / "scp") as scp:
        committing = destination("orthanc", pacs.ae_title, pacs.port, "storage_commitment = true\n")
        config = configuration(tmp_path, ENGINE + committing + destination("dcmtk", scp.ae_title, scp.port))
        said = {checked["what"]: checked for checked in answer("check", config=config)}
        table = dicom_node("check", config=config)
    assert all(checked["good"] for checked in said.values())
    assert "will be made" in said["state"]["said"]
    assert "body-air 1.0.0 on CPU" in said["engine body-air"]["said"]
    assert "offered" in said["destination orthanc: storage commitment"]["said"]
    for name in ("orthanc", "dcmtk"):
        assert said[f"destination {name}: SEG"]["said"] == "Segmentation Storage"
        assert said[f"destination {name}: SR"]["said"].startswith("Comprehensive 3D SR Storage, Comprehensive SR Storage")
    assert table.returncode == 0
    assert "WRONG" not in table.stdout
    assert pacs.rest.find() == []


@pytest.mark.orthanc
@pytest.mark.dcmtk
def test_each_destination_that_cannot_be_reached_is_named_with_the_reason(tmp_path, pacs: Orthanc):
    dead = destination("dead", "NOBODY", free_port())
    wrong = destination("wrong", "NOT-ORTHANC", pacs.port)
    with storescp(tmp_path / "scp") as scp:
        plain = destination("plain", scp.ae_title, scp.port, "storage_commitment = true\n")
        config = configuration(tmp_path, ENGINE + dead + wrong + plain)
        said = {checked["what"]: checked for checked in answer("check", config=config, status=1)}
        table = dicom_node("check", config=config)
    assert not said["destination dead: C-ECHO"]["good"]
    assert not said["destination wrong: C-ECHO"]["good"]
    assert "Called AE title" in said["destination wrong: C-ECHO"]["said"]
    assert said["destination plain: SEG"]["good"]
    assert said["destination plain: storage commitment"] == {
        "what": "destination plain: storage commitment",
        "good": False,
        "said": "asked for, not offered",
    }
    assert table.returncode == 1
    assert table.stdout.count("WRONG") == 3
    assert "Traceback" not in table.stderr


def test_a_node_without_destination_is_told_which_block_to_add(tmp_path):
    done = dicom_node("check", config=configuration(tmp_path))
    assert done.returncode == 1
    assert "add a [[destination]]" in done.stdout


def test_a_file_of_the_web_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "token").write_text("0123456789abcdef")
    web = f'[web]\nport = {free_port()}\ntoken_file = "{tmp_path}/token"\ncertificate_file = "{tmp_path}/none.pem"\n'
    said = {checked["what"]: checked for checked in answer("check", config=configuration(tmp_path, ENGINE + web), status=1)}
    assert said["web token"]["good"]
    assert "none.pem cannot be read" in said["web certificate"]["said"]


def test_models_lists_engines_and_says_which_cannot_be_loaded(tmp_path):
    engines = ENGINE + ENGINE.replace("body-air", "body-fat")
    rows = {row["engine"]: row for row in answer("models", config=configuration(tmp_path, engines), status=1)}
    good, bad = rows["body-air"], rows["body-fat"]
    assert (good["algorithm"], good["version"], good["maker"], good["device"]) == ("body-air", "1.0.0", "dicom-node", "CPU")
    assert len(good["weights"]) == 64
    assert "example_engine.py has no class with" in bad["problem"]
    table = dicom_node("models", config=configuration(tmp_path))
    assert table.returncode == 0
    assert good["weights"] in table.stdout


def test_a_role_that_the_engine_does_not_have_is_named(tmp_path):
    config = configuration(tmp_path, ENGINE + '\n[rule.roles]\nt2 = { when = { modality = "MR" } }\n')
    said = {checked["what"]: checked for checked in answer("check", config=config, status=1)}
    assert said["rule of body-air"]["said"] == "the engine has no role 't2'; it has: none"

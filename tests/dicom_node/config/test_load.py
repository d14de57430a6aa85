"""A mistake is refused with file, line, key, value and a suggestion."""

from pathlib import Path

import pytest

from dicom_node.config import NodeConfiguration, load, parse
from dicom_node.errors import ConfigurationError
from dicom_node.model import AssemblyPolicy, Destination, ResultKind

PACS = '[[destination]]\nname = "pacs"\nae_title = "PACS"\nhost = "localhost"\n'


def refusal(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse(text, "node.toml")
    return str(caught.value)


def test_an_empty_file_is_the_defaults() -> None:
    assert parse("", "node.toml") == NodeConfiguration()


def test_a_file_that_is_not_there_is_refused_with_the_way_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no such file; copy conf/node\.toml"):
        load(tmp_path / "node.toml")


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_bytes('[node]\nmanufacturer = "Müller"\n'.encode("latin-1"))
    with pytest.raises(ConfigurationError, match="is not UTF-8 at byte 24"):
        load(path)


def test_text_that_is_not_toml_is_refused_with_its_line() -> None:
    assert "node.toml: is not TOML" in refusal("[node]\nport = \n")
    assert "line 2" in refusal("[node]\nport = \n")


def test_a_destination_becomes_the_domains() -> None:
    (settings,) = parse(PACS + 'kinds = ["SC"]\nport = 4242\n', "node.toml").destinations
    assert settings.destination() == Destination("pacs", "PACS", "localhost", 4242, (ResultKind.SC,))


def test_assembly_becomes_the_domains_policy() -> None:
    assert parse("[assemble]\nquiet_s = 5\n", "node.toml").assemble.policy() == AssemblyPolicy(5.0, 900.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[node]\nprt = 104\n", "node.toml:2: [node] prt = 104: unknown key; did you mean 'port'?"),
        ("[nod]\nport = 104\n", "node.toml:1: [nod] = {...}: unknown key; did you mean 'node'?"),
        ("\n[node]\n# a comment\n\nport = 70000\n", "node.toml:5: [node] port = 70000: must be less than or equal to 65535"),
        ("node.port = 0\n", "node.toml:1: [node] port = 0: must be greater than or equal to 1"),
        (
            '[node]\nae_title = "A_VERY_LONG_AE_TITLE"\n',
            "node.toml:2: [node] ae_title = 'A_VERY_LONG_AE_TITLE': an AE title has at most 16",
        ),
        ("[node]\nae_title = 'A\\B'\n", "without a backslash"),
        ('[node]\nae_title = " A"\n', "must not begin or end with a space"),
        ('[node]\nae_title = " "\n', "must not be empty"),
        ('[node]\nae_title = "Zürich"\n', "printable ASCII"),
        ('[node]\nstate_dir = "state"\n', "must be an absolute path, such as /state"),
        ('[node]\ncontent_qualification = "PRODUKT"\n', "did you mean 'PRODUCT'?"),
        ("[web]\nport = 11112\n", "node.toml:2: [web] port = 11112: is the port of [node]"),
        ("[node]\nport = 104\n[web]\nport = 104\n", "node.toml:4: [web] port = 104: is the port of [node]"),
        ('[web]\nkey_file = "/etc/key.pem"\n', "has no certificate_file beside it"),
        ('[web]\ntoken_file = "token"\n', "must be an absolute path"),
        ("[receive]\nmaximum_pdu_bytes = 1024\n", "must be 0 for no limit, or at least 4096"),
        (
            "[receive]\nmin_free_percent = 5\nresume_free_percent = 4\n",
            "node.toml:3: [receive] resume_free_percent = 4: must not be less than",
        ),
        ("[receive]\nmin_free_bytes = 2000000000\n", "resume_free_bytes: must not be less than min_free_bytes"),
        ('[receive]\nprivate_sop_classes = ["1.2.03"]\n', "[receive] private_sop_classes 1 = '1.2.03': is no UID"),
        (
            '[[receive.peer]]\nhosts = ["10.0.0.0/40"]\n',
            "node.toml:2: [receive] peer 1, hosts 1 = '10.0.0.0/40': is no address",
        ),
        (
            "[assemble]\nquiet_s = 60\nlongest_wait_s = 30\n",
            "node.toml:3: [assemble] longest_wait_s = 30: must not be less than quiet_s (60)",
        ),
        (
            '[assemble]\nask = "pac"\n' + PACS,
            "node.toml:2: [assemble] ask = 'pac': no [[destination]] has this name; did you mean 'pacs'?",
        ),
        ('[inference]\ndevice = "gpu"\n', 'must be "auto", "cpu", "cuda"'),
        ("[inference]\ntime_limit_s = inf\n", "must be a finite number"),
        (
            '[[engine]]\nname = "lung-segmentaton"\n',
            "node.toml:2: [engine 1] name = 'lung-segmentaton': engine/catalog has no such engine",
        ),
        (
            '[[engine]]\nname = "mine"\nmodule = "hospital.mine"\n',
            'no [[rule]] says when it runs; add one with engine = "mine"',
        ),
        ('[[engine]]\nname = "mine"\nmodule = "mine.py"\n', "must be an absolute path"),
        (
            '[[rule]]\nengine = "lung-segmentation"\ndestinations = [\n  "pacs",\n  "pax"\n]\n' + PACS,
            "node.toml:5: [rule 1] destinations 2 = 'pax': no [[d",
        ),
        ('[[rule]]\nengine = "lungs"\n', "node.toml:2: [rule 1] engine = 'lungs': no [[engine]] has this name"),
        ('[[rule]]\nwhen = { modality = "CT" }\n', "node.toml:1: [rule 1] engine: is missing; add it"),
        (PACS + PACS, "node.toml:6: [destination 2] name = 'pacs': is the name of another [[destination]]"),
        (PACS + PACS.replace('"pacs"', '"b"'), "another [[destination]] has the same host, port and AE title"),
        (PACS.replace("PACS", "DICOM-NODE"), "is the node's own AE title"),
        (PACS + "retry_cap_s = 1\n", "node.toml:5: [destination 1] retry_cap_s = 1: must not be less than retry_first_s (30)"),
        (PACS + 'kinds = ["RS"]\n', "[destination 1] kinds 1 = 'RS': must be 'SEG', 'SR', 'SC' or 'PM'"),
    ],
)
def test_a_mistake_is_refused_with_line_key_value_and_remedy(text: str, words: str) -> None:
    assert words in refusal(text)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ('{ attribute = "SeriesDescripton", present = true }', "did you mean 'SeriesDescription'?"),
        ('{ attribute = "Modality", matches = "(" }', "is no regular expression"),
        ('{ attribute = "Modality" }', "attribute Modality needs a test"),
        ("{ max = 3 }", "max needs an attribute"),
        ('{ attribute = "KVP", min = 3, max = 2 }', "must not be less than min (3)"),
        ("{ slice_count = { min = 9, max = 5 } }", "[rule 1] when 2, slice_count, max = 5: must not be less than min (9)"),
        (
            "{ any_of = [{ modalty = 'CT' }] }",
            "[rule 1] when 2, any_of 1, modalty = 'CT': unknown key; did you mean 'modality'?",
        ),
        ('{ attribute = "AnatomicRegionSequence", code = "51185008" }', 'must be "value^scheme"'),
        ('{ orientation = "axal" }', "did you mean 'axial'?"),
    ],
)
def test_a_wrong_condition_is_refused_on_its_own_line(condition: str, words: str) -> None:
    told = refusal(
        f'[[rule]]\nengine = "lung-segmentation"\nwhen = [\n  {{ modality = "CT" }}, # comment\n\n  {condition},\n]\n'
    )
    assert told.startswith("node.toml:6: ")
    assert words in told


def test_a_preference_has_exactly_one_criterion() -> None:
    rule = '[[rule]]\nengine = "lung-segmentation"\nprefer = '
    assert "exactly one of" in refusal(rule + "[{ most_slices = true, thinnest_from_mm = 1 }]\n")
    assert "exactly one of" in refusal(rule + '[{ attribute = "KVP" }]\n')


def test_all_mistakes_are_told_at_once_in_the_files_order() -> None:
    told = refusal('[node]\nport = 0\nhots = ""\n[assemble]\nask = "pacs"\n[[rule]]\nengine = "x"\n').splitlines()
    assert [line.split(":")[1] for line in told] == ["2", "3", "5", "7"]


def test_an_engine_with_its_own_rule_has_no_default_rule() -> None:
    configuration = parse('[[rule]]\nengine = "lung-segmentation"\npriority = 7\n', "node.toml")
    assert [rule.priority for rule in configuration.effective_rules()] == [7]


def test_a_disabled_engine_needs_no_rule_and_has_none() -> None:
    configuration = parse('[[engine]]\nname = "lung-segmentation"\nenabled = false\n', "node.toml")
    assert configuration.enabled_engines() == ()
    assert configuration.effective_rules() == ()


def test_engines_have_series_numbers_apart() -> None:
    blocks = '[[engine]]\nname = "lung-segmentation"\n[[engine]]\nname = "b"\nmodule = "b"\n[[rule]]\nengine = "b"\n'
    configuration = parse(blocks, "node.toml")
    assert [configuration.series_number_base(e.name) for e in configuration.engines] == [9001, 9011]


def test_a_rule_without_destinations_sends_to_all() -> None:
    other = PACS.replace('"pacs"', '"b"').replace("PACS", "B")
    rules = '[[rule]]\nengine = "lung-segmentation"\n[[rule]]\nengine = "lung-segmentation"\ndestinations = ["b"]\n'
    configuration = parse(rules + PACS + other, "node.toml")
    first, second = configuration.rules
    assert [d.name for d in configuration.destinations_of(first)] == ["pacs", "b"]
    assert [d.name for d in configuration.destinations_of(second)] == ["b"]


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        NodeConfiguration().node.port = 1

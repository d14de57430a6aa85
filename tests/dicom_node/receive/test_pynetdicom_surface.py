"""What the receiver replaces of pynetdicom stays small, in known modules, and is noticed when another version changes it."""

import ast
import importlib
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pynetdicom
import pytest
from pynetdicom import fsm

import dicom_node
from dicom_node.receive import association, streaming, transport
from tests.dicom_node.receive.pynetdicom_surface import DIGESTS, SURFACE, WRITTEN_AGAINST, digest, digest_of, ours

PRODUCT = Path(dicom_node.__file__).parent
SUBCLASSES = (
    association.ReceiverAssociation,
    association._Admission,
    streaming.DrivenProvider,
    streaming.StreamingAssociation,
    transport.ReceiverSocket,
)
# The modules that may use or replace what pynetdicom calls private, and what.
PRIVATE: dict[str, set[str]] = {
    "deliver/association.py": {"_config"},
    "receive/association.py": {
        "_INTERVENTION_EVENTS",
        "_accepted_cx",
        "_bind_defaults",
        "_globals",
        "_negotiate_as_acceptor",
        "_serve_request",
    },
    "receive/streaming.py": {
        "_PDUPrimitiveType",
        "_accepted_cx",
        "_dul_ready",
        "_idle_timer",
        "_kill",
        "_kill_thread",
        "_process_recv_primitive",
        "_reactor_checkpoint",
        "_read_pdu_data",
    },
    "receive/transport.py": {"_assoc", "_shutdown_socket"},
}


@pytest.mark.parametrize("name", [name for names in SURFACE.values() for name in names])
def test_pynetdicom_is_still_what_the_receiver_was_written_against(name: str) -> None:
    found = digest_of(name)
    assert found, f"pynetdicom {pynetdicom.__version__} has no {name}, which {ours(name)} in dicom_node.receive stands on"
    assert found == DIGESTS[name], (
        f"pynetdicom {pynetdicom.__version__} changed {name} since {WRITTEN_AGAINST}: compare both, and change "
        f"{ours(name)} in dicom_node.receive where it must follow; then `python -m "
        "tests.dicom_node.receive.pynetdicom_surface` prints the new DIGESTS, and WRITTEN_AGAINST becomes that version"
    )


def test_the_digests_are_those_of_the_surface() -> None:
    assert list(DIGESTS) == [name for names in SURFACE.values() for name in names]


@pytest.mark.parametrize(
    ("source", "is_same"),
    [
        ("def f(a):\n    'Other words.'\n    # a comment\n    return (a + 1)", True),
        ("def f(a):\n    return a + 2", False),
        ("def f(a):\n    a.done()\n    return a + 1", False),
        ("def f(a, b=0):\n    return a + 1", False),
    ],
)
def test_a_digest_sees_what_code_does_and_not_its_words(source: str, is_same: bool) -> None:
    assert (digest(source) == digest("def f(a):\n    '''Words.'''\n    return a + 1")) is is_same


def test_a_name_that_is_gone_has_no_digest() -> None:
    assert not digest_of("dul.DULServiceProvider.gone")
    assert not digest_of("gone.Thing")


@pytest.mark.parametrize("subclass", SUBCLASSES)
def test_everything_that_a_subclass_replaces_or_calls_of_pynetdicom_is_in_the_surface(subclass: type) -> None:
    listed = {name for names in SURFACE.values() for name in names}
    missing = {name for name in relied_upon(subclass) if name not in listed and name.rpartition(".")[0] not in listed}
    assert not missing


def relied_upon(subclass: type) -> Iterator[str]:
    """The functions and properties of pynetdicom that a class of ours defines anew, or names as its own or super's."""
    body = ast.parse(inspect.getsource(subclass))
    named = {node.attr for node in ast.walk(body) if isinstance(node, ast.Attribute) and is_own(node.value)}
    for name in named | set(vars(subclass)):
        for base in subclass.__mro__:
            if base.__module__.startswith("pynetdicom.") and name in vars(base):
                found = vars(base)[name]
                if inspect.isfunction(found) or isinstance(found, property):
                    yield f"{base.__module__.removeprefix('pynetdicom.')}.{base.__name__}.{name}"
                break


def is_own(value: ast.expr) -> bool:
    """Whether an expression is `self` or `super()`."""
    if isinstance(value, ast.Call):
        value = value.func
    return isinstance(value, ast.Name) and value.id in {"self", "super"}


def test_every_event_that_the_receiver_makes_is_known_in_every_state_in_which_it_makes_it() -> None:
    made = {
        streaming._CONNECTION_CLOSED: {streaming._ESTABLISHED, streaming._AWAITING_CLOSE, "Sta2", "Sta3", "Sta8"},
        streaming._ARTIM_EXPIRED: {"Sta2", streaming._AWAITING_CLOSE},
        streaming._INVALID_PDU: {streaming._ESTABLISHED},
    }
    for event, states in made.items():
        assert states <= {state for known, state in fsm.TRANSITION_TABLE if known == event}
    assert fsm.TRANSITION_TABLE[streaming._INVALID_PDU, streaming._ESTABLISHED] == "AA-8"
    assert set(fsm.STATES) >= {streaming._ESTABLISHED, streaming._AWAITING_CLOSE, streaming._IDLE}


@cache
def private_names() -> frozenset[str]:
    """What pynetdicom calls private: functions, classes, modules, attributes."""
    found: set[str] = set()
    for path in Path(pynetdicom.__file__).parent.glob("*.py"):
        found |= {path.stem}
        for node in ast.walk(ast.parse(path.read_text())):
            found |= {getattr(node, field) for field in ("name", "attr", "id") if isinstance(getattr(node, field, None), str)}
    return frozenset(name for name in found if name.startswith("_") and not name.startswith("__"))


def private_use(source: str, *, may_subclass: bool) -> set[str]:
    """The private names of pynetdicom in a module of ours. What it gives itself is its own, unless it may subclass."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pynetdicom")]
    imported = {part for node in imports for alias in node.names for part in (*str(node.module).split("."), alias.name)}
    attributes = [node for node in nodes if isinstance(node, ast.Attribute)]
    defined = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    own = {node.attr for node in attributes if isinstance(node.ctx, ast.Store) and is_own(node.value)} | defined
    used = {node.attr for node in attributes} | (defined if may_subclass else set())
    return {name for name in imported | (used if may_subclass else used - own) if name in private_names()}


def test_private_names_of_pynetdicom_are_used_in_known_modules_only() -> None:
    used = {}
    for path in sorted(PRODUCT.rglob("*.py")):
        name, source = path.relative_to(PRODUCT).as_posix(), path.read_text()
        if "pynetdicom" in source and (found := private_use(source, may_subclass=name in PRIVATE)):
            used[name] = found
    assert used == PRIVATE, "a new use of what pynetdicom calls private: avoid it, or list it here and in pynetdicom_surface.py"


def test_only_the_known_modules_subclass_pynetdicom() -> None:
    subclassing = set()
    for path in sorted(PRODUCT.rglob("*.py")):
        if "pynetdicom" not in path.read_text():
            continue
        module = importlib.import_module(".".join(path.relative_to(PRODUCT.parent).with_suffix("").parts))
        classes = [cls for _, cls in inspect.getmembers(module, inspect.isclass) if cls.__module__ == module.__name__]
        subclassing |= {cls for cls in classes if any(base.__module__.startswith("pynetdicom") for base in cls.__mro__)}
    assert subclassing == set(SUBCLASSES)


def test_a_private_name_is_found_wherever_it_hides() -> None:
    assert private_use("association._kill = True\n", may_subclass=False) == {"_kill"}
    assert private_use("from pynetdicom._globals import MODE_ACCEPTOR\n", may_subclass=False) == {"_globals"}
    assert not private_use("def f(self):\n    self._kill = 1\n    return self._kill\n", may_subclass=False)

"""What the receiver replaces of pynetdicom, and what it relies upon, each with a digest of the source it was written against.

`python -m tests.dicom_node.receive.pynetdicom_surface` prints DIGESTS for the pynetdicom that is installed.
"""

import ast
import hashlib
import importlib
import inspect
import sys
import textwrap
from typing import Any

WRITTEN_AGAINST = "3.0.4"
PROVIDER = "streaming.DrivenProvider"
REACTOR = "streaming.StreamingAssociation and its _Checkpoint"
PASSED_ON = "streaming.StreamingAssociation._pass_on"
ADMISSION = "association._Admission"
ASSOCIATION = "association.ReceiverAssociation"
SOCKET = "transport.ReceiverSocket"
CONNECTIONS = "connections.Associations.serve, connections.application_entity"

# Ours, to be compared with what changed: the names in pynetdicom.
SURFACE: dict[str, tuple[str, ...]] = {
    PROVIDER: (
        "dul.DULServiceProvider.__init__",
        "dul.DULServiceProvider._decode_pdu",
        "dul.DULServiceProvider._is_transport_event",
        "dul.DULServiceProvider._process_recv_primitive",
        "dul.DULServiceProvider._read_pdu_data",
        "dul.DULServiceProvider._send",
        "dul.DULServiceProvider.assoc",
        "dul.DULServiceProvider.idle_timer_expired",
        "dul.DULServiceProvider.kill_dul",
        "dul.DULServiceProvider.peek_next_pdu",
        "dul.DULServiceProvider.receive_pdu",
        "dul.DULServiceProvider.run_reactor",
        "dul.DULServiceProvider.send_pdu",
        "dul.DULServiceProvider.stop_dul",
        "fsm.ACTIONS",
        "fsm.StateMachine",
        "fsm.TRANSITION_TABLE",
        *(f"fsm.{action}" for action in ("AE_5", "AE_6", "AE_7", "AE_8", "DT_1", "DT_2")),
        *(f"fsm.AR_{number}" for number in (1, 2, 3, 4, 5, 7, 8, 9, 10)),
        *(f"fsm.AA_{number}" for number in range(1, 9)),
        "pdu.A_ABORT_RQ.encode",
        "timer.Timer",
    ),
    REACTOR: (
        "association.Association._abort_blocking",
        "association.Association._run_reactor",
        "association.Association.kill",
        "association.Association.release",
        "association.Association.run_reactor",
        "acse.ACSE.is_aborted",
        "acse.ACSE.is_release_requested",
        "acse.ACSE.negotiate_release",
        "acse.ACSE.send_abort",
        "acse.ACSE.send_release",
    ),
    PASSED_ON: (
        "dimse.DIMSEServiceProvider.__init__",
        "dimse.DIMSEServiceProvider.get_msg",
        "dimse.DIMSEServiceProvider.receive_primitive",
        "dimse.DIMSEServiceProvider.send_msg",
        "dimse_messages.DIMSEMessage.decode_msg",
        "dimse_messages.DIMSEMessage.message_to_primitive",
        "pdu_primitives.P_DATA.presentation_data_value_list",
    ),
    ADMISSION: (
        "acse.ACSE.__init__",
        "acse.ACSE.acceptor",
        "acse.ACSE.assoc",
        "acse.ACSE.requestor",
        "acse.ACSE._negotiate_as_acceptor",
        "acse.ACSE.negotiate_association",
        "acse.ACSE.send_accept",
        "acse.ACSE.send_ap_abort",
        "acse.ACSE.send_reject",
    ),
    ASSOCIATION: (
        "association.Association.__init__",
        "association.Association._bind_defaults",
        "association.Association._serve_request",
        "association.Association.abort",
        "association.Association.accepted_contexts",
        "association.Association.acse_timeout",
        "association.Association.ae",
        "association.Association.bind",
        "association.Association.network_timeout",
        "association.Association.set_socket",
        "association.ServiceUser.address",
        "association.ServiceUser.port",
        "association.ServiceUser.role_selection",
        "association.ServiceUser.supported_contexts",
        "events._INTERVENTION_EVENTS",
        "events.get_default_handler",
        "events.trigger",
        "service_class.ServiceClass.__init__",
        "service_class.VerificationServiceClass.SCP",
        "utils.make_target",
    ),
    SOCKET: (
        "transport.AssociationSocket.__init__",
        "transport.AssociationSocket._shutdown_socket",
        "transport.AssociationSocket.close",
        "transport.AssociationSocket.event_queue",
        "transport.AssociationSocket.ready",
        "transport.AssociationSocket.recv",
        "transport.AssociationSocket.send",
    ),
    CONNECTIONS: (
        "transport.AddressInformation",
        "transport.AssociationServer.process_request",
        "transport.RequestHandler._create_association",
        "ae.ApplicationEntity.__init__",
    ),
}


def digests() -> dict[str, str]:
    """Of all of the surface, as pynetdicom is installed; empty where a name is gone."""
    return {name: digest_of(name) for names in SURFACE.values() for name in names}


def ours(name: str) -> str:
    """What is to be compared with a name of pynetdicom."""
    return next(place for place, names in SURFACE.items() if name in names)


def digest_of(name: str) -> str:
    """Of one function, class, property or table, by its name in pynetdicom."""
    module_name, *rest = name.split(".")
    try:
        found: Any = importlib.import_module(f"pynetdicom.{module_name}")
        for part in rest:
            found = inspect.getattr_static(found, part)
    except (ImportError, AttributeError):
        return ""
    return digest(source_of(found))


def source_of(found: Any) -> str:
    """The source of code; the values of a table."""
    if isinstance(found, property):
        return "\n".join(source_of(part) for part in (found.fget, found.fset) if part is not None)
    if inspect.isfunction(found) or inspect.isclass(found):
        return textwrap.dedent(inspect.getsource(found))
    if isinstance(found, dict):
        return repr({key: tuple(map(_told, value)) if isinstance(value, tuple) else value for key, value in found.items()})
    return repr([_told(value) for value in found])


def _told(value: Any) -> str:
    return value.__name__ if inspect.isfunction(value) else str(value)


def digest(source: str) -> str:
    """Of what a source does: comments, form and docstrings do not count, nor does the version of Python."""
    return hashlib.sha256(_normal(ast.parse(source)).encode()).hexdigest()[:12]


def _normal(node: Any) -> str:
    if isinstance(node, list):
        return f"[{','.join(map(_normal, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = {key: value for key, value in ast.iter_fields(node) if value is not None and value != []}
    if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
        fields["body"] = node.body[1:]
    return f"{type(node).__name__}({','.join(f'{key}={_normal(value)}' for key, value in fields.items())})"


DIGESTS: dict[str, str] = {
    "dul.DULServiceProvider.__init__": "fdd4cbf9b49c",
    "dul.DULServiceProvider._decode_pdu": "91115a7c2e58",
    "dul.DULServiceProvider._is_transport_event": "d949e6fd70d6",
    "dul.DULServiceProvider._process_recv_primitive": "128eb0716c22",
    "dul.DULServiceProvider._read_pdu_data": "6fa47b8a1a19",
    "dul.DULServiceProvider._send": "05bed12f08c8",
    "dul.DULServiceProvider.assoc": "eba57db1a522",
    "dul.DULServiceProvider.idle_timer_expired": "9353d8238ecb",
    "dul.DULServiceProvider.kill_dul": "132935a8f393",
    "dul.DULServiceProvider.peek_next_pdu": "041f8336dfc3",
    "dul.DULServiceProvider.receive_pdu": "6c0f76df8833",
    "dul.DULServiceProvider.run_reactor": "0d334f89453e",
    "dul.DULServiceProvider.send_pdu": "9e14bf304d98",
    "dul.DULServiceProvider.stop_dul": "40094599739b",
    "fsm.ACTIONS": "49cd24a0594d",
    "fsm.StateMachine": "e31200e6119c",
    "fsm.TRANSITION_TABLE": "62a2a9eb3a47",
    "fsm.AE_5": "b7ec7d5f2f63",
    "fsm.AE_6": "314376bbe524",
    "fsm.AE_7": "b253eddbe650",
    "fsm.AE_8": "48409be82912",
    "fsm.DT_1": "e43507e3769b",
    "fsm.DT_2": "b6c25ad07760",
    "fsm.AR_1": "42eed6a40a84",
    "fsm.AR_2": "4a032f429abd",
    "fsm.AR_3": "a55dd3af20ed",
    "fsm.AR_4": "aa517fada10b",
    "fsm.AR_5": "a3a9b0861610",
    "fsm.AR_7": "11ff5e49a5ab",
    "fsm.AR_8": "bd19351557de",
    "fsm.AR_9": "fc2af2e0a6a0",
    "fsm.AR_10": "37bcf50ce7d8",
    "fsm.AA_1": "6c360e34d9a8",
    "fsm.AA_2": "0735cefa76d5",
    "fsm.AA_3": "4bdc1dc3d65a",
    "fsm.AA_4": "8ceef7e066ec",
    "fsm.AA_5": "039f7a7813ac",
    "fsm.AA_6": "9beccf5dde85",
    "fsm.AA_7": "bec728c52a50",
    "fsm.AA_8": "876b02eff6da",
    "pdu.A_ABORT_RQ.encode": "9cfebbb7ebd5",
    "timer.Timer": "658fdf762013",
    "association.Association._abort_blocking": "e0c4454344d0",
    "association.Association._run_reactor": "2089c89237cf",
    "association.Association.kill": "0f89173528a4",
    "association.Association.release": "d1095ddd8ac7",
    "association.Association.run_reactor": "b8b46488192c",
    "acse.ACSE.is_aborted": "4313779d4057",
    "acse.ACSE.is_release_requested": "312c3aca2d6b",
    "acse.ACSE.negotiate_release": "25f69baa9d90",
    "acse.ACSE.send_abort": "38609d9c0d2c",
    "acse.ACSE.send_release": "47f488ae4e80",
    "dimse.DIMSEServiceProvider.__init__": "93163368ef88",
    "dimse.DIMSEServiceProvider.get_msg": "dc615fb0d56b",
    "dimse.DIMSEServiceProvider.receive_primitive": "2be5cce764b7",
    "dimse.DIMSEServiceProvider.send_msg": "7889fb675b4e",
    "dimse_messages.DIMSEMessage.decode_msg": "d2441cc60bf9",
    "dimse_messages.DIMSEMessage.message_to_primitive": "b8c4113702fc",
    "pdu_primitives.P_DATA.presentation_data_value_list": "d0084c0ff588",
    "acse.ACSE.__init__": "b102466427c7",
    "acse.ACSE.acceptor": "a99d69d25cb0",
    "acse.ACSE.assoc": "eba57db1a522",
    "acse.ACSE.requestor": "f179c6b124a5",
    "acse.ACSE._negotiate_as_acceptor": "dae70a8270e8",
    "acse.ACSE.negotiate_association": "aa1007eca9ee",
    "acse.ACSE.send_accept": "505c7b3efbc5",
    "acse.ACSE.send_ap_abort": "f8afe9c9c775",
    "acse.ACSE.send_reject": "8a783787e252",
    "association.Association.__init__": "1be0e41e7571",
    "association.Association._bind_defaults": "69cc24473c5d",
    "association.Association._serve_request": "3cd7af9babe9",
    "association.Association.abort": "e3f3c7be06ee",
    "association.Association.accepted_contexts": "d6161f6e053a",
    "association.Association.acse_timeout": "bbcc278425fb",
    "association.Association.ae": "41a1e9cef6d3",
    "association.Association.bind": "527b29f537b4",
    "association.Association.network_timeout": "9162e160c038",
    "association.Association.set_socket": "d1809d86ef18",
    "association.ServiceUser.address": "7a5265f1aabd",
    "association.ServiceUser.port": "d400e659603a",
    "association.ServiceUser.role_selection": "a44f719f8f0e",
    "association.ServiceUser.supported_contexts": "fd1dadc253ac",
    "events._INTERVENTION_EVENTS": "7723f2f1d7a9",
    "events.get_default_handler": "772eb7dca093",
    "events.trigger": "6874d45cab1a",
    "service_class.ServiceClass.__init__": "4f27f706e9ea",
    "service_class.VerificationServiceClass.SCP": "8fbed8e426a4",
    "utils.make_target": "4d9997071bfc",
    "transport.AssociationSocket.__init__": "67b53ad98a7d",
    "transport.AssociationSocket._shutdown_socket": "e6df4f6e0aae",
    "transport.AssociationSocket.close": "8634dbdefdb6",
    "transport.AssociationSocket.event_queue": "7c572fa26e69",
    "transport.AssociationSocket.ready": "ceef7e190cea",
    "transport.AssociationSocket.recv": "5b98cfa1036f",
    "transport.AssociationSocket.send": "781dded705d9",
    "transport.AddressInformation": "1c2f9129f264",
    "transport.AssociationServer.process_request": "9268646b0156",
    "transport.RequestHandler._create_association": "cc7503fd50ef",
    "ae.ApplicationEntity.__init__": "e632112cce0c",
}

if __name__ == "__main__":
    lines = "".join(f'    "{name}": "{found}",\n' for name, found in digests().items())
    sys.stdout.write(f"DIGESTS: dict[str, str] = {{\n{lines}}}\n")

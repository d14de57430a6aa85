"""Commands that look before anything runs: check, models."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EnhancedSRStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from dicom_node.cli.application import Json, app, chosen
from dicom_node.cli.output import print_json, print_table
from dicom_node.config import NodeConfiguration
from dicom_node.errors import NodeError
from dicom_node.ledger import Ledger
from dicom_node.model import Destination, ResultKind
from dicom_node.node.paths import StatePaths

STORAGE_COMMITMENT_PUSH_MODEL = "1.2.840.10008.1.20.1"
FORMS = {
    ResultKind.SEG: (SegmentationStorage,),
    ResultKind.SR: (Comprehensive3DSRStorage, ComprehensiveSRStorage, EnhancedSRStorage),
    ResultKind.SC: (SecondaryCaptureImageStorage,),
    ResultKind.PM: (ParametricMapStorage,),
}


@dataclass(frozen=True, slots=True)
class Checked:
    """One thing that was looked at."""

    what: str
    good: bool
    said: str


@app.command()
def check(context: typer.Context, json: Json = False) -> None:
    """Check configuration, disk, ledger, engines, device and destinations. Exit status 1 if something is wrong.

    Each destination gets a C-ECHO, and is asked which result classes and transfer syntaxes it accepts; nothing is stored there.
    """
    configuration = chosen(context).load_or_default()
    found = [
        Checked("configuration", good=True, said=str(chosen(context).path)),
        *_state(configuration),
        *_web(configuration),
        *_engines(configuration),
        *(checked for d in configuration.destinations for checked in _destination(d.destination(), configuration)),
    ]
    if not configuration.destinations:
        found.append(Checked("destinations", good=False, said="none: results stay here; add a [[destination]]"))
    if json:
        print_json(found)
    else:
        print_table("Check", ("", "what", "found"), (("ok" if c.good else "WRONG", c.what, c.said) for c in found))
    if not all(c.good for c in found):
        raise typer.Exit(1)


def _state(configuration: NodeConfiguration) -> Iterator[Checked]:
    state = Path(configuration.node.state_dir)
    existing = next(p for p in (state, *state.parents) if p.exists())
    if not state.exists():
        usable = existing.is_dir() and os.access(existing, os.W_OK)
        said = "will be made at the first start" if usable else f"cannot be made below {existing}"
        yield Checked("state", good=usable, said=f"{state} {said}")
        return
    yield Checked("state", good=os.access(state, os.W_OK), said=f"{state} as user {os.geteuid()}")
    yield from _disk(configuration)
    ledger_file = StatePaths(state).ledger
    if ledger_file.exists():
        try:
            Ledger.open(ledger_file).close()
        except NodeError as error:
            yield Checked("ledger", good=False, said=str(error))
        else:
            yield Checked("ledger", good=True, said=str(ledger_file))


def _disk(configuration: NodeConfiguration) -> Iterator[Checked]:
    from dicom_node.cli.intake import VOLATILE, intake, room

    try:
        found = intake(configuration, time.time())
    except OSError as error:
        yield Checked("disk", good=False, said=f"the file system of the state does not answer ({error.strerror})")
        return
    refused = f"; C-STORE is refused: {found.refused_because}" if found.refused_because else ""
    yield Checked("disk", good=not refused, said=room(found) + refused)
    if found.file_system in VOLATILE:
        said = f"the spool is on {found.file_system}, in memory: a power cut or a restart takes what was acknowledged"
        yield Checked("spool", good=False, said=said)


def _web(configuration: NodeConfiguration) -> Iterator[Checked]:
    web = configuration.web
    files = {"token": web.token_file, "certificate": web.certificate_file, "key": web.key_file} if web.port else {}
    for what, path in files.items():
        if path:
            readable = os.access(path, os.R_OK)
            said = f"{path} {'can' if readable else 'cannot'} be read as user {os.geteuid()}"
            yield Checked(f"web {what}", good=readable, said=said)


def _engines(configuration: NodeConfiguration) -> Iterator[Checked]:
    for row in _models(configuration):
        said = row["problem"] or f"{row['algorithm']} {row['version']} on {row['device']}, weights {row['weights'][:12]}"
        yield Checked(f"engine {row['engine']}", good=not row["problem"], said=said)
    yield from _roles(configuration)


def _roles(configuration: NodeConfiguration) -> Iterator[Checked]:
    """Roles that a rule fills and its engine does not have: it would never look at these series."""
    from engine.loading import EngineNotFoundError, engine_info

    for rule in (rule for rule in configuration.effective_rules() if rule.roles):
        try:
            known = engine_info(rule.engine, configuration.engine(rule.engine).module).roles
        except EngineNotFoundError:  # said of the engine above
            continue
        for role in sorted(set(rule.roles) - set(known)):
            said = f"the engine has no role {role!r}; it has: {', '.join(known) or 'none'}"
            yield Checked(f"rule of {rule.engine}", good=False, said=said)


def _models(configuration: NodeConfiguration) -> Iterator[dict[str, Any]]:
    """Each configured engine, loaded: its weights are read and their hashes compared."""
    from dicom_node.node.processing import engine_spec
    from engine.api import Context
    from engine.loading import load_engine

    for engine in configuration.engines:
        spec = engine_spec(configuration, engine.name)
        row = {"engine": engine.name, "enabled": engine.enabled, "problem": ""}
        try:
            algorithm = load_engine(spec.name, Context(spec.device, dict(spec.options)), spec.module).algorithm()
        except Exception as error:  # noqa: BLE001 - an engine is anybody's code; this command says what is wrong with it
            yield row | {"problem": f"{type(error).__name__}: {error}"}
            continue
        yield row | {
            "algorithm": algorithm.name,
            "version": algorithm.version,
            "maker": algorithm.manufacturer,
            "device": algorithm.device,
            "weights": algorithm.weights_digest,
            "parameters": algorithm.parameters,
        }


def _destination(destination: Destination, configuration: NodeConfiguration) -> Iterator[Checked]:
    from dicom_node.deliver.association import NoAssociationError
    from dicom_node.deliver.find import accepted_contexts, echo

    name, local = f"destination {destination.name}", configuration.node.ae_title
    answered = echo(destination, local)
    where = f"{destination.ae_title} at {destination.host}:{destination.port}"
    yield Checked(f"{name}: C-ECHO", good=answered.reachable, said=where if answered.reachable else answered.reason)
    if not answered.reachable:
        return
    wanted = [sop_class for kind in destination.kinds for sop_class in FORMS[kind]]
    try:
        accepted = accepted_contexts(destination, local, [*wanted, STORAGE_COMMITMENT_PUSH_MODEL])
    except NoAssociationError as error:
        yield Checked(f"{name}: accepts", good=False, said=str(error))
        return
    for kind in destination.kinds:
        forms = [sop_class.name for sop_class in FORMS[kind] if accepted[sop_class]]
        yield Checked(f"{name}: {kind.value}", good=bool(forms), said=", ".join(forms) or "accepted in no form")
    if destination.storage_commitment:
        offered = bool(accepted[STORAGE_COMMITMENT_PUSH_MODEL])
        yield Checked(f"{name}: storage commitment", good=offered, said="offered" if offered else "asked for, not offered")


@app.command()
def models(context: typer.Context, json: Json = False) -> None:
    """List the configured engines and their models: version, maker, hash of the weights, device. Status 1 if one fails."""
    rows = list(_models(chosen(context).load_or_default()))
    if json:
        print_json(rows)
    else:
        columns = ("engine", "enabled", "algorithm", "version", "maker", "device", "weights", "parameters", "problem")
        print_table("Models", columns, ([str(row.get(c, "")) for c in columns] for row in rows))
    if any(row["problem"] for row in rows):
        raise typer.Exit(1)

"""The processing service: intake, inference, couriers and what is periodic, each in its own thread."""

import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

from dicom_node import __version__
from dicom_node.config import NodeConfiguration
from dicom_node.deliver.courier import Courier
from dicom_node.deliver.find import count_instances
from dicom_node.errors import NodeError
from dicom_node.infer.child import Child
from dicom_node.ledger import Ledger
from dicom_node.model import Destination, Series
from dicom_node.node.paths import StatePaths
from dicom_node.pipeline.analysis import Analyst, EngineSpec
from dicom_node.pipeline.intake import Intake, Rulebook
from dicom_node.pipeline.work import Workbench, WorkSettings
from dicom_node.report.context import Equipment
from dicom_node.schedule import Periodic, Schedule

log = structlog.get_logger()

PASS_SHARE = 0.5  # of the inference process's memory that one pass of a network may take
SWEEP_S = 1.0
FOLLOW_UP_S = 5.0
RETENTION_S = 3600.0
IDLE_S = 1.0
DRAIN_S = 540.0  # of systemd's TimeoutStopSec, which must be longer
DAY_S = 86_400.0


class ProcessingService:
    """Everything but receiving. Starts where the ledger says that the last run stopped."""

    def __init__(self, configuration: NodeConfiguration, drain_s: float = DRAIN_S) -> None:
        self._configuration = configuration
        self._drain_s = drain_s
        self._paths = StatePaths(Path(configuration.node.state_dir))
        self._stop = threading.Event()
        self._inference_ended = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Open the ledger, take up interrupted work, start the threads.

        Raises:
            LedgerError: the ledger cannot be opened.
        """
        with suppress(OSError):  # the ledger says that its folder is missing
            self._paths.state.mkdir(parents=True, exist_ok=True)
        self._ledger = Ledger.open(self._paths.ledger)
        now = time.time()
        interrupted = (*self._ledger.jobs.release_interrupted(now), *self._ledger.deliveries.release_interrupted(now))
        if interrupted:
            log.warning("interrupted work is queued again", count=len(interrupted))
        destinations = [d.destination() for d in self._configuration.destinations]
        ae_title = self._configuration.node.ae_title
        self._couriers = [Courier(self._ledger, destination, ae_title, time.time) for destination in destinations]
        memory = self._configuration.inference.memory_limit_bytes
        self._workbench = Workbench(
            self._ledger,
            Child(Analyst(self._configuration.inference.warm_engines), memory),
            work_settings(self._configuration),
            self._wake_couriers,
        )
        self._schedule = Schedule(self._periodics(destinations))
        self._threads = [
            threading.Thread(target=courier.run, args=(self._stop,), name=f"courier-{destination.name}")
            for courier, destination in zip(self._couriers, destinations, strict=True)
        ]
        self._threads.append(threading.Thread(target=self._infer, name="inference"))
        for thread in self._threads:
            thread.start()
        self._schedule.start()
        log.info("processing", engines=self._configuration.enabled_engines(), destinations=[d.name for d in destinations])

    def is_alive(self) -> bool:
        return all(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Decide and claim nothing more; finish the running job or hand it back; end the couriers."""
        self._schedule.stop()
        self._stop.set()
        self._wake_couriers()
        self._workbench.stop(self._drain_s, self._inference_ended)
        for thread in self._threads:
            thread.join()
        self._ledger.close()
        log.info("processing ended")

    def _infer(self) -> None:
        """One job after the other; idle, it looks every second, for jobs are queued by another thread's transaction."""
        unsettled = False
        try:
            while not self._stop.is_set():
                try:
                    if unsettled:
                        self._ledger.jobs.release_interrupted(time.time())
                        unsettled = False
                    worked = self._workbench.run_once()
                except NodeError as error:  # the ledger was busy for too long, its disk is full ...
                    log.error("job not settled, will be run again", reason=str(error), alarm=True)
                    worked, unsettled = False, True
                if not worked:
                    self._stop.wait(IDLE_S)
        finally:
            self._inference_ended.set()

    def _wake_couriers(self) -> None:
        for courier in self._couriers:
            courier.wake()

    def _periodics(self, destinations: list[Destination]) -> list[Periodic]:
        intake = Intake(
            self._ledger, rulebook(self._configuration), self._configuration.assemble.policy(), self._count_query(destinations)
        )
        return [
            Periodic("intake", SWEEP_S, lambda: intake.sweep(time.time())),
            Periodic("retries and commitment follow-up", FOLLOW_UP_S, self._wake_couriers),
            Periodic("retention", RETENTION_S, self._purge),
        ]

    def _count_query(self, destinations: list[Destination]) -> Callable[[Series], int | None] | None:
        asked = next((d for d in destinations if d.name == self._configuration.assemble.ask), None)
        if asked is None:
            return None
        ae_title = self._configuration.node.ae_title
        return lambda series: count_instances(asked, ae_title, series.study_instance_uid, series.series_instance_uid)

    def _purge(self) -> None:
        """Retention: rows first, files after; a crash between leaves files that the next sweep adopts, and nothing is lost."""
        now = time.time()
        age_s = self._configuration.retention.studies_days * DAY_S
        due = [study.study_instance_uid for study in self._ledger.retention.purgeable(now, age_s)]
        for study in self._ledger.retention.purge(due, age_s=age_s, now=now):
            for path in study.instance_paths:
                path.unlink(missing_ok=True)
            for minute in {path.parent for path in study.instance_paths}:
                with suppress(OSError):  # it holds files of other studies
                    minute.rmdir()
                    minute.parent.rmdir()
            for folder in {path.parents[1] for path in study.result_paths}:  # all runs of the job
                shutil.rmtree(folder, ignore_errors=True)
        for path in self._ledger.instances.forget_quarantined(now - self._configuration.retention.quarantine_days * DAY_S):
            path.unlink(missing_ok=True)
        if due:
            log.info("studies purged", count=len(due))


def rulebook(configuration: NodeConfiguration) -> Rulebook:
    """What routing needs of the configuration."""
    names = tuple(engine.name for engine in configuration.engines)
    return Rulebook(
        configuration.effective_rules(),
        names,
        frozenset(names) - frozenset(configuration.enabled_engines()),
        lambda rule: tuple(destination.name for destination in configuration.destinations_of(rule)),
    )


def work_settings(configuration: NodeConfiguration) -> WorkSettings:
    """What the workbench needs of the configuration."""
    node = configuration.node
    return WorkSettings(
        engines={name: engine_spec(configuration, name) for name in (e.name for e in configuration.engines)},
        series_number_bases={e.name: configuration.series_number_base(e.name) for e in configuration.engines},
        destinations={d.name: d.kinds for d in configuration.destinations},
        results_directory=StatePaths(Path(node.state_dir)).results,
        equipment=equipment(configuration),
        content_qualification=node.content_qualification.value,
        time_limit_s=configuration.inference.time_limit_s,
        attempts=configuration.inference.attempts,
    )


def engine_spec(configuration: NodeConfiguration, name: str) -> EngineSpec:
    """How an engine is loaded.

    Raises:
        KeyError: the configuration has no such engine.
    """
    engine = configuration.engine(name)
    options = dict(engine.options) | ({"package": engine.package} if engine.package else {})
    inference = configuration.inference
    limit = None if inference.memory_limit_bytes is None else round(PASS_SHARE * inference.memory_limit_bytes)
    return EngineSpec(name, engine.module, inference.device, options, limit)


def equipment(configuration: NodeConfiguration) -> Equipment:
    """The node as the maker of results."""
    node = configuration.node
    return Equipment(node.manufacturer, "dicom-node", __version__, node.device_serial_number)

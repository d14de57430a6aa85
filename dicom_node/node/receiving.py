"""The receiving service: C-STORE into the spool, and the ledger's rows behind it. Loads no engine and no torch."""

import gc
import os
import sys
import threading
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import structlog

from dicom_node.config import NodeConfiguration
from dicom_node.errors import PermanentError
from dicom_node.headers import ROUTING_KEYWORDS, read_instance
from dicom_node.ledger import AddReport, Ledger
from dicom_node.model import Instance
from dicom_node.node.activation import activated_socket
from dicom_node.node.paths import StatePaths
from dicom_node.receive.backpressure import Backpressure
from dicom_node.receive.commitment import CommitmentReport
from dicom_node.receive.disk import DiskGuard
from dicom_node.receive.disk_watch import DiskWatch
from dicom_node.receive.indexing import Indexer
from dicom_node.receive.messages import Orders
from dicom_node.receive.pool import ReceiverPool
from dicom_node.receive.settings import Peer, ReceiverSettings, Timeouts, Watermarks
from dicom_node.receive.spool import Spool
from dicom_node.receive.storing import SpoolStore, StoreHandler
from dicom_node.receive.web import WebReceiver, WebReceiverSettings, read_token
from dicom_node.route import keywords_of
from dicom_node.schedule import Periodic, Schedule

log = structlog.get_logger()

SWEEP_S = 60.0
BACKLOG_S = 1.0
LEFTOVER_S = 600.0
DRAIN_S = 100.0  # of systemd's TimeoutStopSec, which must be longer
ACTIVATED_DRAIN_S = 10.0  # new senders wait meanwhile, and most give up after 30 s
MOST_PROCESSES = 4
WORKER = (sys.executable, "-m", "dicom_node.node.receive_worker")


class LazyLedger:
    """The ledger, opened when it is first needed: a broken one delays rows, and never stops C-STORE.

    Every method raises LedgerError while it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ledger: Ledger | None = None
        self._lock = threading.Lock()

    def add(self, instances: Sequence[Instance]) -> AddReport:
        return self._open().instances.add(instances)

    def known_paths(self) -> Collection[Path]:
        return self._open().instances.known_paths()

    def quarantine(self, path: Path, reason: str, at: float) -> None:
        self._open().instances.quarantine(path, reason, at)

    def committed(self, report: CommitmentReport) -> None:
        """Keep a storage commitment report."""
        ledger = self._open()
        ledger.commitments.report(report.transaction_uid, report.committed, report.failed, now=time.time())

    def close(self) -> None:
        if self._ledger is not None:
            self._ledger.close()

    def _open(self) -> Ledger:
        with self._lock:
            if self._ledger is None:
                self._ledger = Ledger.open(self._path)
            return self._ledger


class ReceivingService:
    """Takes what the PACS sends, and nothing else."""

    def __init__(self, configuration: NodeConfiguration, drain_s: float | None = None) -> None:
        """Build what is to run.

        Raises:
            PermanentError: the state directory cannot be made.
            ConfigurationError: the token of the web cannot be read.
        """
        paths = StatePaths(Path(configuration.node.state_dir))
        settings = receiver_settings(configuration)
        keywords = ROUTING_KEYWORDS | keywords_of(configuration.effective_rules())
        listening = activated_socket(configuration.node.host, configuration.node.port)
        if drain_s is None:
            drain_s = DRAIN_S if listening is None else ACTIVATED_DRAIN_S
        self._drain_s = drain_s
        self._spool = _spool(paths.spool, durable=settings.durable)
        self._ledger = LazyLedger(paths.ledger)
        self._indexer = Indexer(
            self._spool,
            self._ledger,
            lambda path: read_instance(path, received_at=path.stat().st_mtime, keywords=keywords),
            queue_size=2 * settings.max_unindexed,
        )
        self._pressure = Backpressure(DiskGuard(paths.spool, settings.watermarks), settings.max_unindexed)
        self._watch = DiskWatch(paths.spool, paths.disk_report, settings, self._pressure.reason)
        store = SpoolStore(self._spool, self._pressure, self._indexer.offer)
        node = configuration.node
        orders = Orders(settings, paths.spool, node.log_level, node.log_format, hears_commitments=True)
        count = process_count(settings)
        self._receiver = ReceiverPool(
            orders, WORKER, count, self._indexer.offer, self._ledger.committed, listening, on_death=self._indexer.sweep_soon
        )
        self._web = web_receiver(configuration, settings, store)
        abandoned_s = max(LEFTOVER_S, 2 * settings.timeouts.network_s)  # longer than any live connection is silent
        self._schedule = Schedule(
            [
                Periodic("adopt files without a row", SWEEP_S, self._indexer.request_sweep),
                Periodic("report the backlog", BACKLOG_S, self._report_backlog),
                Periodic("drop what a dead process was writing", LEFTOVER_S, lambda: self._spool.drop_leftovers(abandoned_s)),
            ]
        )

    def start(self) -> None:
        """Drop what was never acknowledged, adopt what has no row, listen.

        Raises:
            TransientError: a port is taken.
            ConfigurationError: the certificate of the web cannot be used.
        """
        gc.collect()
        gc.freeze()  # what is loaded by now stays; no collection need look at it again
        dropped = self._spool.drop_leftovers()
        if dropped:
            log.info("unfinished files of the last run dropped", count=dropped)
        self._indexer.start()
        self._receiver.start()
        if self._web is not None:
            self._web.start()
        self._schedule.start()

    def _report_backlog(self) -> None:
        self._pressure.report_backlog(self._indexer.backlog)
        self._receiver.report_congestion(self._indexer.backlog, has_room=self._pressure.has_room())
        self._watch.look()

    def is_alive(self) -> bool:
        return self._receiver.is_listening and (self._web is None or self._web.is_listening)

    def stop(self) -> None:
        """Accept no association and no request, let open ones end, index what came."""
        self._schedule.stop()
        if self._web is not None:
            self._web.begin_stop(self._drain_s)
        self._receiver.stop(self._drain_s)
        if self._web is not None:
            self._web.stop()
        self._indexer.stop()
        self._ledger.close()


def process_count(settings: ReceiverSettings) -> int:
    """How many processes receive: as many as configured, or one for each core, at most 4."""
    return settings.processes or min(len(os.sched_getaffinity(0)), MOST_PROCESSES)


def _spool(directory: Path, *, durable: bool) -> Spool:
    try:
        return Spool(directory, durable=durable)
    except OSError as error:
        raise PermanentError(
            f"{directory} cannot be made ({error.strerror}): check state_dir and whom it belongs to"
        ) from error


def web_receiver(configuration: NodeConfiguration, settings: ReceiverSettings, store: StoreHandler) -> WebReceiver | None:
    """What receives over the web, if the configuration has a port for it.

    Raises:
        ConfigurationError: the file of the token cannot be read.
    """
    web = configuration.web
    if not web.port:
        return None
    told = WebReceiverSettings(
        host=web.host,
        port=web.port,
        token=read_token(web.token_file) if web.token_file else "",
        certificate_file=web.certificate_file,
        key_file=web.key_file,
        max_requests=web.max_requests,
        max_parts=web.max_parts,
        idle_s=web.idle_timeout_s,
    )
    return WebReceiver(settings, told, store)


def receiver_settings(configuration: NodeConfiguration) -> ReceiverSettings:
    """What the receiver needs of the configuration."""
    node, receive = configuration.node, configuration.receive
    return ReceiverSettings(
        ae_title=node.ae_title,
        host=node.host,
        port=node.port,
        peers=tuple(Peer.of(p.ae_title, *p.hosts) for p in receive.peers),
        require_called_ae_title=receive.require_called_ae_title,
        max_associations=receive.max_associations,
        maximum_pdu_bytes=receive.maximum_pdu_bytes,
        timeouts=Timeouts(receive.acse_timeout_s, receive.dimse_timeout_s, receive.network_timeout_s),
        watermarks=Watermarks(
            receive.min_free_bytes,
            receive.min_free_percent / 100,
            receive.resume_free_bytes,
            receive.resume_free_percent / 100,
        ),
        private_sop_class_uids=frozenset(receive.private_sop_classes),
        private_transfer_syntax_uids=frozenset(receive.private_transfer_syntaxes),
        accept_unknown_storage=receive.accept_unknown_storage,
        processes=receive.processes,
        streaming=receive.streaming,
        durable=receive.durable,
        max_associations_per_peer=receive.max_associations_per_peer,
        max_instance_bytes=receive.max_instance_bytes,
        max_instance_s=receive.max_instance_s,
        max_unindexed=receive.max_unindexed,
        warn_full_within_s=receive.warn_full_within_s,
    )

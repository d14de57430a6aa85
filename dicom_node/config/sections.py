"""The sections of the file but for the rules. Each key: its default, and what it is for, in one line."""

from enum import StrEnum
from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from dicom_node.config.fields import (
    AbsolutePath,
    AeTitle,
    Device,
    Module,
    Name,
    Network,
    OptionalAeTitle,
    OptionalPath,
    Section,
    Uid,
)
from dicom_node.model import AssemblyPolicy, Destination, ResultKind

MEBIBYTE = 1 << 20
LARGEST_PORT = 65535
SMALLEST_PDU_BYTES = 4096


class ContentQualification(StrEnum):
    """Content Qualification (0018,9004) of results."""

    RESEARCH = "RESEARCH"
    PRODUCT = "PRODUCT"


class LogLevel(StrEnum):
    """What is logged: this and what is graver."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How a line of the log looks."""

    CONSOLE = "console"
    JSON = "json"


class NodeSettings(Section):
    """Who the node is, where it listens and where it keeps things."""

    ae_title: AeTitle = Field(
        default="DICOM-NODE", description="the node's AE title: called by senders, calling at destinations"
    )
    host: str = Field(default="", description="address to listen on; empty for all IPv4 addresses of the machine")
    port: int = Field(default=11112, ge=1, le=LARGEST_PORT, description="TCP port to listen on")
    state_dir: AbsolutePath = Field(default="/var/lib/dicom-node", description="folder of spool, ledger and results; absolute")
    manufacturer: str = Field(default="dicom-node", min_length=1, max_length=64, description="Manufacturer in results")
    device_serial_number: str = Field(default="0", min_length=1, max_length=64, description="Device Serial Number in results")
    series_number_base: int = Field(
        default=9001,
        ge=1,
        le=2_000_000_000,
        description="Series Number of the first engine's SEG; its SR, SC and PM, then other engines, follow",
    )
    content_qualification: ContentQualification = Field(
        default=ContentQualification.RESEARCH, description="Content Qualification in results: RESEARCH or PRODUCT"
    )
    log_level: LogLevel = Field(default=LogLevel.INFO, description="debug, info, warning or error")
    log_format: LogFormat = Field(default=LogFormat.CONSOLE, description="console for people, json for a log collector")


class PeerSettings(Section):
    """An application entity that may open associations."""

    ae_title: OptionalAeTitle = Field(default="", description="its calling AE title; empty for any")
    hosts: tuple[Network, ...] = Field(default=(), description="addresses and blocks it may come from; empty for any")


class ReceiveSettings(Section):
    """How instances are taken from the network."""

    peers: tuple[PeerSettings, ...] = Field(
        default=(), validation_alias="peer", description="who may open associations, C-ECHO included; none stands for everybody"
    )
    require_called_ae_title: bool = Field(default=True, description="reject who calls another AE title than the node's")
    processes: int = Field(default=0, ge=0, le=64, description="processes that receive; 0: one for each core, at most 4")
    streaming: bool = Field(
        default=True, description="C-STORE data goes from the socket to the file; false: through pynetdicom's own path, slower"
    )
    durable: bool = Field(
        default=True, description="success is said only when file and name are on stable storage; false is for measuring"
    )
    max_associations: int = Field(
        default=1000, ge=1, le=10_000, description="associations at the same time; more are rejected, transiently"
    )
    max_associations_per_peer: int = Field(
        default=800, ge=1, le=10_000, description="associations of one network address at the same time"
    )
    max_instance_bytes: int = Field(
        default=8192 * MEBIBYTE, ge=MEBIBYTE, description="a larger instance is refused (C000) and not kept"
    )
    max_instance_s: float = Field(default=3600.0, gt=0, description="an instance that takes longer to arrive is cut off")
    max_unindexed: int = Field(
        default=50_000, ge=100, description="with more files that wait for their ledger row C-STORE is refused (A700)"
    )
    maximum_pdu_bytes: int = Field(
        default=131_072, ge=0, le=16 * MEBIBYTE, description="PDU length told to senders; 0: no limit"
    )
    acse_timeout_s: float = Field(default=30.0, gt=0, description="how long a peer may take to open or close an association")
    dimse_timeout_s: float = Field(default=30.0, gt=0, description="how long a peer may take to answer a message of ours")
    network_timeout_s: float = Field(default=60.0, gt=0, description="how long an open association may be silent")
    min_free_bytes: int = Field(default=512 * MEBIBYTE, ge=0, description="with less free space C-STORE is refused (A700)")
    min_free_percent: float = Field(default=2.0, ge=0, lt=100, description="the same as a share; the larger counts")
    resume_free_bytes: int = Field(default=1024 * MEBIBYTE, ge=0, description="with more free space C-STORE is accepted again")
    resume_free_percent: float = Field(default=3.0, ge=0, lt=100, description="the same as a share; the larger counts")
    warn_full_within_s: float = Field(
        default=86_400.0,
        ge=0,
        description="an alarm in the log when at the present rate C-STORE is refused sooner; 0: none",
    )
    private_sop_classes: tuple[Uid, ...] = Field(
        default=(), description="UIDs stored beside the standard's storage SOP classes"
    )
    private_transfer_syntaxes: tuple[Uid, ...] = Field(
        default=(), description="UIDs accepted beside the standard's transfer syntaxes"
    )
    accept_unknown_storage: bool = Field(
        default=False, description="take every SOP class that is not known for another service as storage"
    )

    @field_validator("maximum_pdu_bytes")
    @classmethod
    def _pdu(cls, value: int) -> int:
        if 0 < value < SMALLEST_PDU_BYTES:
            raise ValueError(f"must be 0 for no limit, or at least {SMALLEST_PDU_BYTES}; 131072 is a good value")
        return value

    @field_validator("resume_free_bytes", "resume_free_percent")
    @classmethod
    def _resume(cls, value: float, info: ValidationInfo) -> float:
        lower = str(info.field_name).replace("resume", "min")
        if value < info.data.get(lower, value):
            raise ValueError(f"must not be less than {lower} ({info.data[lower]})")
        return value


class WebSettings(Section):
    """How instances are taken over the web (STOW-RS), beside C-STORE. Off unless a port is given."""

    port: int = Field(default=0, ge=0, le=LARGEST_PORT, description="TCP port of POST /studies; 0: not over the web")
    host: str = Field(default="", description="address to listen on; empty for all IPv4 addresses of the machine")
    token_file: OptionalPath = Field(
        default="", description="file that holds the bearer token that clients must send; empty: none is asked for"
    )
    certificate_file: OptionalPath = Field(default="", description="TLS certificate with its chain, PEM; empty: plain HTTP")
    key_file: OptionalPath = Field(default="", description="its private key, PEM; empty: it stands in certificate_file")
    max_requests: int = Field(default=16, ge=1, le=1000, description="requests at the same time; more are answered with 503")
    max_parts: int = Field(
        default=10_000, ge=1, le=1_000_000, description="instances in one request; with more it is answered with 413"
    )
    idle_timeout_s: float = Field(default=60.0, gt=0, le=300, description="how long a client may be silent inside a request")


class AssembleSettings(Section):
    """When a series is complete."""

    quiet_s: float = Field(default=30.0, gt=0, description="no new instance for so long: the series may be whole")
    longest_wait_s: float = Field(
        default=900.0, gt=0, description="a series with gaps is waited for so long, then run, and its result says so"
    )
    ask: str = Field(default="", description="name of a destination to ask by C-FIND for the number of instances")

    @field_validator("longest_wait_s")
    @classmethod
    def _longest(cls, value: float, info: ValidationInfo) -> float:
        return _not_below(value, "quiet_s", info)

    def policy(self) -> AssemblyPolicy:
        return AssemblyPolicy(self.quiet_s, self.longest_wait_s)


class InferenceSettings(Section):
    """Where engines run, and for how long."""

    device: Device = Field(default="auto", description="auto (CUDA where there is a GPU), cpu, cuda or cuda:N")
    time_limit_s: float = Field(default=1800.0, gt=0, description="an engine that takes longer on a series is stopped")
    memory_limit_bytes: int | None = Field(
        default=None, ge=256 * MEBIBYTE, description="memory that the inference process may use; absent for no limit"
    )
    warm_engines: int = Field(
        default=2, ge=1, le=100, description="how many engines stay loaded between series; the longest unused makes room"
    )
    attempts: int = Field(default=3, ge=1, le=100, description="how often a job is tried before a person must look")


class EngineSettings(Section):
    """An engine that the node offers to series. No block at all stands for lung-segmentation alone."""

    name: Name = Field(description="name of the engine: a file of engine/catalog, or what `module` holds")
    enabled: bool = Field(default=True, description="false: its rules are kept, it is not run")
    module: Module = Field(
        default="", description="if not in engine/catalog: package.module or the absolute path of a .py file"
    )
    package: str = Field(default="", description="folder of a model package in place of the engine's own; empty: its own")
    options: dict[str, Any] = Field(default_factory=dict, description="the engine's own keys; its documentation explains them")

    @field_validator("package")
    @classmethod
    def _package(cls, value: str) -> str:
        if value and not value.startswith("/"):
            raise ValueError("must be the absolute path of a folder")
        return value


class DestinationSettings(Section):
    """A Storage SCP that results are sent to."""

    name: Name = Field(description="how rules, logs and the command line call it")
    ae_title: AeTitle = Field(description="its AE title")
    host: str = Field(min_length=1, description="its name or address")
    port: int = Field(default=104, ge=1, le=LARGEST_PORT, description="its TCP port")
    kinds: tuple[ResultKind, ...] = Field(
        default=(ResultKind.SEG, ResultKind.SR),
        min_length=1,
        description="what it gets: SEG, SR, SC (pictures, heat maps), PM (heat maps as numbers)",
    )
    storage_commitment: bool = Field(default=False, description="ask it to commit to what it stored")
    commitment_wait_s: float = Field(default=3600.0, gt=0, description="how long its commitment may take, then C-FIND asks")
    read_back: bool = Field(default=False, description="look by C-FIND whether it holds what it stored")
    network_timeout_s: float = Field(default=30.0, gt=0, description="how long it may take to answer")
    retry_first_s: float = Field(default=30.0, gt=0, description="wait before the first retry while it is away")
    retry_multiplier: float = Field(default=2.0, ge=1, le=10, description="each wait is so many times the one before")
    retry_cap_s: float = Field(default=1800.0, gt=0, description="no wait is longer; retries never end by themselves")

    @field_validator("retry_cap_s")
    @classmethod
    def _cap(cls, value: float, info: ValidationInfo) -> float:
        return _not_below(value, "retry_first_s", info)

    def destination(self) -> Destination:
        return Destination(**self.model_dump())


class RetentionSettings(Section):
    """How long things are kept; what is not yet delivered is never removed."""

    studies_days: float = Field(
        default=14.0, gt=0, description="received instances and results of a study, once every result is delivered"
    )
    quarantine_days: float = Field(default=90.0, gt=0, description="received files that cannot be read")


def _not_below(value: float, lower: str, info: ValidationInfo) -> float:
    if value < info.data.get(lower, value):
        raise ValueError(f"must not be less than {lower} ({info.data[lower]:g})")
    return value

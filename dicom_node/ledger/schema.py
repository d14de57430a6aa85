"""The tables. Times are seconds since the epoch, UTC; nothing here names a patient."""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

APPLICATION_ID = 0x44434D4C
"""Marks a SQLite file as a ledger ("DCML")."""

SCHEMA_VERSION = 2

metadata = MetaData()

instances = Table(
    "instances",
    metadata,
    Column("id", Integer, primary_key=True),  # the order of arrival
    Column("sop_instance_uid", String, nullable=False, unique=True),
    Column("sop_class_uid", String, nullable=False),
    Column("series_instance_uid", String, nullable=False),
    Column("study_instance_uid", String, nullable=False),
    Column("transfer_syntax_uid", String, nullable=False),
    Column("path", String, nullable=False, unique=True),
    Column("size_bytes", Integer, nullable=False),
    Column("received_at", Float, nullable=False),
    Column("calling_ae_title", String, nullable=False),
    Column("called_ae_title", String, nullable=False),
    Column("peer_address", String, nullable=False),
    Column("attributes", JSON, nullable=False),
    Column("planes", JSON, nullable=False),
    Index("instances_by_series", "series_instance_uid", "received_at"),
    Index("instances_by_study", "study_instance_uid"),
)

quarantined = Table(
    "quarantined",
    metadata,
    Column("path", String, primary_key=True),
    Column("reason", String, nullable=False),
    Column("at", Float, nullable=False),
)

series = Table(
    "series",
    metadata,
    Column("series_instance_uid", String, primary_key=True),
    Column("study_instance_uid", String, nullable=False),
    Column("accession_number", String, nullable=False),
    Column("modality", String, nullable=False),
    Column("series_number", String, nullable=False),
    Column("series_description", String, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("generation", Integer, nullable=False),  # 1, and one more each time a late instance opens it again
    Column("instance_count", Integer, nullable=False),
    Column("last_received_at", Float, nullable=False),
    Column("closed_at", Float),
    Column("completeness", String),
    Column("reason", String, nullable=False, default=""),
    Column("missing_count", Integer, nullable=False, default=0),
    Index("series_by_study", "study_instance_uid"),
    Index("series_by_accession_number", "accession_number"),
    Index("series_open", "open", "last_received_at"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("series_instance_uid", String, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("engine", String, nullable=False),
    Column("chosen", Boolean, nullable=False),
    Column("reason", String, nullable=False),
    Index("decisions_by_series", "series_instance_uid", "generation"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_instance_uid", String, nullable=False),
    Column("series_instance_uid", String, nullable=False),
    Column("engine", String, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("input_digest", String, nullable=False),
    Column("state", String, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("interruptions", Integer, nullable=False, default=0),
    Column("not_before", Float, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("as_of", Float, nullable=False),
    Column("calling_ae_title", String, nullable=False),
    Column("reason", String, nullable=False, default=""),
    Column("remark", String, nullable=False, default=""),
    Column("destinations", JSON, nullable=False),
    Column("summary", String, nullable=False, default=""),
    Column("worker", String, nullable=False, default=""),
    Column("predecessors", JSON, nullable=False),
    UniqueConstraint("series_instance_uid", "engine", "revision"),
    UniqueConstraint("series_instance_uid", "engine", "input_digest"),
    Index("jobs_by_state", "state", "not_before"),
    Index("jobs_by_study", "study_instance_uid"),
)

job_inputs = Table(
    "job_inputs",
    metadata,
    Column("job_id", ForeignKey("jobs.id"), primary_key=True),
    Column("sop_instance_uid", String, primary_key=True),
    Column("role", String, nullable=False, default=""),  # empty: of the job's own series
    Index("job_inputs_by_instance", "sop_instance_uid"),
    sqlite_with_rowid=False,
)

results = Table(
    "results",
    metadata,
    Column("sop_instance_uid", String, primary_key=True),
    Column("job_id", ForeignKey("jobs.id"), nullable=False),
    Column("sop_class_uid", String, nullable=False),
    Column("series_instance_uid", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("path", String, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("current", Boolean, nullable=False),  # of the job's latest run
    Column("purged", Boolean, nullable=False),  # the file is gone, the identity stays
    Index("results_by_job", "job_id"),
    Index("results_by_series", "series_instance_uid"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("job_id", ForeignKey("jobs.id"), nullable=False),
    Column("kind", String, nullable=False),
    Column("kind_order", Integer, nullable=False),
    Column("destination", String, nullable=False),
    Column("state", String, nullable=False),
    Column("rank", Integer, nullable=False, default=0),
    Column("attempts", Integer, nullable=False, default=0),
    Column("not_before", Float, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("status", Integer),
    Column("message", String, nullable=False, default=""),
    Column("transaction_uid", String, nullable=False, default=""),
    UniqueConstraint("job_id", "kind", "destination"),
    Index("deliveries_by_state", "state", "destination", "not_before"),
)

stored = Table(
    "stored",
    metadata,
    Column("sop_instance_uid", ForeignKey("results.sop_instance_uid"), primary_key=True),
    Column("destination", String, primary_key=True),
    Column("at", Float, nullable=False),  # when the destination first said that it has it
    sqlite_with_rowid=False,
)

transactions = Table(
    "transactions",
    metadata,
    Column("transaction_uid", String, primary_key=True),
    Column("delivery_id", ForeignKey("deliveries.id"), nullable=False),
    Column("requested_at", Float, nullable=False),
)

commitment_reports = Table(
    "commitment_reports",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("transaction_uid", String, nullable=False),
    Column("reported_at", Float, nullable=False),
    Column("committed", JSON, nullable=False),
    Column("failed", JSON, nullable=False),
    Column("note", String, nullable=False),
    Column("applied", Boolean, nullable=False),
    Index("commitment_reports_by_transaction", "transaction_uid"),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("subject", String, nullable=False),
    Column("subject_id", String, nullable=False),
    Column("change", String, nullable=False),
    Column("detail", String, nullable=False),
    Index("events_by_subject", "subject", "subject_id"),
)

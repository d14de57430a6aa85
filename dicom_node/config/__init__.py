"""One TOML file, checked as a whole before anything starts."""

from dicom_node.config.configuration import NodeConfiguration
from dicom_node.config.load import load, parse
from dicom_node.config.rules import Condition, Orientation, Preference, Range, RoleSettings, RuleSettings, Scope
from dicom_node.config.sections import (
    AssembleSettings,
    ContentQualification,
    DestinationSettings,
    EngineSettings,
    InferenceSettings,
    LogFormat,
    LogLevel,
    NodeSettings,
    PeerSettings,
    ReceiveSettings,
    RetentionSettings,
)

__all__ = [
    "AssembleSettings",
    "Condition",
    "ContentQualification",
    "DestinationSettings",
    "EngineSettings",
    "InferenceSettings",
    "LogFormat",
    "LogLevel",
    "NodeConfiguration",
    "NodeSettings",
    "Orientation",
    "PeerSettings",
    "Preference",
    "Range",
    "ReceiveSettings",
    "RetentionSettings",
    "RoleSettings",
    "RuleSettings",
    "Scope",
    "load",
    "parse",
]

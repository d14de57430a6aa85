"""The whole file as one frozen value."""

from pydantic import Field

from dicom_node.config.defaults import DEFAULT_RULES
from dicom_node.config.fields import Section
from dicom_node.config.rules import RuleSettings
from dicom_node.config.sections import (
    AssembleSettings,
    DestinationSettings,
    EngineSettings,
    InferenceSettings,
    NodeSettings,
    ReceiveSettings,
    RetentionSettings,
    WebSettings,
)
from dicom_node.model import Destination

DEFAULT_ENGINES = ("lung-segmentation",)


class NodeConfiguration(Section):
    """Everything the node is told. An empty file is a valid one: it receives, runs the default engine and delivers nowhere."""

    node: NodeSettings = Field(default_factory=NodeSettings, description="who the node is")
    receive: ReceiveSettings = Field(default_factory=ReceiveSettings, description="how instances are taken")
    web: WebSettings = Field(default_factory=WebSettings, description="how instances are taken over the web")
    assemble: AssembleSettings = Field(default_factory=AssembleSettings, description="when a series is complete")
    inference: InferenceSettings = Field(default_factory=InferenceSettings, description="where engines run")
    engines: tuple[EngineSettings, ...] = Field(
        default=tuple(EngineSettings(name=name) for name in DEFAULT_ENGINES),
        validation_alias="engine",
        description="the engines; none in the file stands for lung-segmentation alone",
    )
    rules: tuple[RuleSettings, ...] = Field(
        default=(),
        validation_alias="rule",
        description="on which series engines run; an engine without a rule has its default rule",
    )
    destinations: tuple[DestinationSettings, ...] = Field(
        default=(), validation_alias="destination", description="where results go; none: they stay here"
    )
    retention: RetentionSettings = Field(default_factory=RetentionSettings, description="how long things are kept")

    def engine(self, name: str) -> EngineSettings:
        """The block of an engine.

        Raises:
            KeyError: there is none of that name.
        """
        return {engine.name: engine for engine in self.engines}[name]

    def enabled_engines(self) -> tuple[str, ...]:
        return tuple(engine.name for engine in self.engines if engine.enabled)

    def effective_rules(self) -> tuple[RuleSettings, ...]:
        """The rules of enabled engines in the file's order, then the default rules of enabled engines that have none there."""
        ruled = {rule.engine for rule in self.rules}
        enabled = self.enabled_engines()
        defaults = (DEFAULT_RULES[name] for name in enabled if name not in ruled and name in DEFAULT_RULES)
        return (*(rule for rule in self.rules if rule.engine in enabled), *defaults)

    def series_number_base(self, engine: str) -> int:
        """Series Number of an engine's SEG; ten numbers are kept for each engine, in the file's order."""
        return self.node.series_number_base + 10 * [e.name for e in self.engines].index(engine)

    def destinations_of(self, rule: RuleSettings) -> tuple[Destination, ...]:
        """Where the results of a rule's jobs go."""
        wanted = rule.destinations
        return tuple(d.destination() for d in self.destinations if wanted is None or d.name in wanted)

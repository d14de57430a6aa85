"""Series meet rules: which engine runs on which series, and why."""

from dicom_node.route.refusals import Ours
from dicom_node.route.routing import Routing, keywords_of, route
from dicom_node.route.study import Stage, StudySeries

__all__ = ["Ours", "Routing", "Stage", "StudySeries", "keywords_of", "route"]

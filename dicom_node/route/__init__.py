"""Series meet rules: which engine runs on which series, and why."""

from dicom_node.route.companions import companions_of
from dicom_node.route.refusals import Ours
from dicom_node.route.routing import Choice, Routing, keywords_of, route
from dicom_node.route.study import Stage, StudySeries

__all__ = ["Choice", "Ours", "Routing", "Stage", "StudySeries", "companions_of", "keywords_of", "route"]

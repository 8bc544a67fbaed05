"""FullStory over HTTP: segment exports, and the legacy data exports."""

from hauser_dlt.exports.bundles import Bundle, Exports
from hauser_dlt.exports.client import Client
from hauser_dlt.exports.data_exports import DataExports
from hauser_dlt.exports.segment_exports import SegmentExports
from hauser_dlt.exports.segments import IndividualExports

__all__ = ["Bundle", "Client", "DataExports", "Exports", "IndividualExports", "SegmentExports"]

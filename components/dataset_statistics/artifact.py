"""The artifact type of DatasetStatistics, apart from its pages: who reads the numbers is not run again for a page."""

from tfx import v1 as tfx


class DataStatistics(tfx.dsl.Artifact):
    """`statistics.json`, `statistics.html`, and `figures/` with the label frequencies of each split."""

    TYPE_NAME = "DataStatistics"

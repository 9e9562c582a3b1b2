"""The artifact type of DatasetStatistics, apart from its page, whose edits rerun no step that reads the numbers."""

from tfx import v1 as tfx


class DataStatistics(tfx.dsl.Artifact):
    """`statistics.json`, `statistics.html`, and `figures/` with the label frequencies of each split."""

    TYPE_NAME = "DataStatistics"

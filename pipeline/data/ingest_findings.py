"""What an ingest noticed about records, in words: the same for runs and for `yt8m stats`."""

from components.example_gen.ingest import Summary
from models.features import MAX_FRAMES


def describe_ingest(summary: Summary, rejected_in: str) -> list[str]:
    """Lines on rejected records, cut videos and what occurs twice; none where all is well.

    Args:
        summary: of the ingest.
        rejected_in: the file or folder that lists all rejected records.
    """
    lines = []
    if summary.quarantined:
        lines.append(f"{summary.quarantined:,} of {summary.records:,} records rejected, all in {rejected_in}, first:")
        lines += [f"  {reason}" for reason in summary.first_quarantined]
    if summary.lost_bytes:
        lines.append(
            f"{summary.lost_bytes:,} bytes lost in damaged parts of shards, which may have held several records"
        )
    if summary.cut_to_max_frames:
        lines.append(
            f"{summary.cut_to_max_frames:,} videos have more than {MAX_FRAMES} frames: the first {MAX_FRAMES} are used"
        )
    if summary.repeated_labels:
        lines.append(f"{summary.repeated_labels:,} videos list a label twice: it counts once")
    lines += [f"{count:,} ids occur more than once: {where}" for where, count in summary.duplicates.items()]
    return lines

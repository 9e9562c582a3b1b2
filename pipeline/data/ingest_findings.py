"""What an ingest noticed about records, in words: the same for runs and for `yt8m stats`."""

from components.example_gen.ingest import Summary
from models.errors import plural
from models.features import MAX_FRAMES


def describe_ingest(summary: Summary, rejected_in: str, rejected_ratings_in: str) -> list[str]:
    """Lines on rejected records and ratings, cut videos and what occurs twice; empty if there is nothing to report.

    Args:
        summary: of the ingest.
        rejected_in: the file or folder that lists all rejected records.
        rejected_ratings_in: the same of the rejected ratings.
    """
    lines = []
    if summary.quarantined:
        records = plural(summary.records, "record")
        lines.append(f"{summary.quarantined:,} of {records} rejected, all in {rejected_in}, first:")
        lines += [f"  {reason}" for reason in summary.first_quarantined]
    if summary.lost_bytes:
        lines.append(
            f"{plural(summary.lost_bytes, 'byte')} lost in damaged parts of shards, which may have held several records"
        )
    if summary.cut_to_max_frames:
        videos = plural(summary.cut_to_max_frames, "video")
        lines.append(f"{videos} with more than {MAX_FRAMES} frames: the first {MAX_FRAMES} are used")
    if summary.repeated_labels:
        lines.append(f"{plural(summary.repeated_labels, 'video')} with a label listed twice: it counts once")
    lines += [f"{plural(count, 'id')} found more than once: {where}" for where, count in summary.duplicates.items()]
    if summary.rejected_ratings:
        ratings = plural(summary.ratings + summary.rejected_ratings, "rating")
        lines.append(f"{summary.rejected_ratings:,} of {ratings} rejected, all in {rejected_ratings_in}, first:")
        lines += [f"  {reason}" for reason in summary.first_rejected_ratings]
    return lines

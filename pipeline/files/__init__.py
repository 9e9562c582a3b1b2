"""Files that commands read and write: whole or not at all, one process at a time, bounded, on disks that may fill."""

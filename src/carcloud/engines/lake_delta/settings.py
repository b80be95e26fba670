"""The engine's figures in one place."""

from dataclasses import dataclass

MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Care:
    """How a table is kept small and fast; times in seconds."""

    checkpoint_every: int = 50  # commits between two Delta checkpoints
    log_keep: float = 600  # how long the log before the newest checkpoint stays
    fan_in: int = 8  # this many runs of one level are merged into one of the next
    settle: float = 900  # a past date is sorted as a whole when quiet for so long
    late_share: float = 0.1  # ... and again when more than this share of it came late
    piece_rows: int = 2_000_000  # rows of one merged file at most
    piece_bytes: int = 64 * MB  # Arrow bytes merged in memory at once
    tidy_bytes: int = 16 * MB  # Arrow bytes of small files merged at once while rows come in
    whole_bytes: int = 256 * MB  # Arrow bytes of files of a table not known, merged at once
    row_group_rows: int = 65_536
    row_group_bytes: int = 8 * MB  # Arrow bytes of a merged file's row group at most
    removed_keep: float = 600  # readers in flight may still open a file merged away
    orphan_keep: float = 3600  # a file no commit names is the rest of a crash after this
    query_workers: int = 2  # queries that run at once; more wait
    query_threads: int = 2

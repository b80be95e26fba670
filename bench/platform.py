"""The platform: access, neighbours, jobs and object storage, one after the other.

Each measures as its own page says: `./dev bench access neighbours jobs storage`.
"""

from bench import access, jobs, neighbours, storage
from bench.row import Row


def rows() -> list[Row]:
    """The rows of all four."""
    return [*access.rows(), *neighbours.rows(), *jobs.rows(), *storage.rows()]

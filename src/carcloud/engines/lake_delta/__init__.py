"""The lake engine: Delta tables in a local folder, SQL for people by DuckDB."""

from carcloud.engines.lake_delta.lake import DeltaLake
from carcloud.engines.lake_delta.settings import Care

__all__ = ["Care", "DeltaLake"]

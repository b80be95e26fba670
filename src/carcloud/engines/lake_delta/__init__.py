"""The lake engine: Delta tables in a local folder or an S3 bucket, SQL for people by DuckDB."""

from carcloud.engines.lake_delta.files_s3 import Cache, S3Place
from carcloud.engines.lake_delta.lake import DeltaLake
from carcloud.engines.lake_delta.settings import Care

__all__ = ["Cache", "Care", "DeltaLake", "S3Place"]

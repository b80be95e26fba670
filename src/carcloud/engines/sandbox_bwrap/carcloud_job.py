"""For scripts: where the files are, what the job was given, and how to tell of progress.

import carcloud_job as job

speeds = pyarrow.parquet.read_table(job.IN / "speeds.parquet")
job.progress(0.5, "half way")
job.metric("rows", speeds.num_rows)
(job.OUT / "report.txt").write_text("…")
"""

import json
import os
from pathlib import Path
from typing import Any

IN = Path("/job/in")
OUT = Path("/job/out")
arguments: dict[str, Any] = json.loads(Path("/sandbox/arguments.json").read_text())

_descriptor = int(os.environ.get("CARCLOUD_JOB_MESSAGES", "-1"))


def progress(done: float, message: str | None = None) -> None:
    """Say how far the script is, 0 to 1, and what it is doing."""
    _tell({"progress": float(done), "message": message})


def metric(name: str, value: float) -> None:
    """Record a number."""
    _tell({"metric": str(name), "value": float(value)})


def _tell(what: dict[str, Any]) -> None:
    if _descriptor >= 0:
        os.write(_descriptor, json.dumps(what).encode() + b"\n")

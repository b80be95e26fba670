"""Files of bus logs: candump, ASC, BLF, TRC and MF4, opened and read as `CanFrames`.

    for block in open_log(Path("drive.MF4")).blocks():
        ...

ASC, BLF and TRC hold local times without a zone: `zone` must say which one, or "relative" for
times since the log's start.
"""

from carcloud.engines.canlog_files.errors import LogFileError
from carcloud.engines.canlog_files.opening import LogFile, open_log, read_log
from carcloud.engines.canlog_files.zones import RELATIVE, Zone, parse_zone

__all__ = ["RELATIVE", "LogFile", "LogFileError", "Zone", "open_log", "parse_zone", "read_log"]

"""Small files of a table are merged while rows come in, in a thread beside whoever writes them."""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from carcloud.engines.lake_delta import upkeep
from carcloud.engines.lake_delta.log import Log
from carcloud.ports.errors import EngineError

_log = logging.getLogger(__name__)


class Tidier:
    """Has a table tidied after so many commits of this process as a merge takes files."""

    def __init__(self, may: Callable[[], bool]) -> None:
        """`may`: whether there is room for merged files."""
        self._may = may
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lake-tidy")
        self._commits: Counter[str] = Counter()  # since the last time, by table
        self._at_work: set[str] = set()
        self._closed = False
        self._changed = threading.Condition()

    def committed(self, log: Log) -> None:
        """One more commit; returns at once."""
        table = str(log.files.here)
        with self._changed:
            self._commits[table] += 1
            if self._commits[table] < log.care.fan_in or table in self._at_work:
                return
            del self._commits[table]
            if self._closed:
                return
            self._at_work.add(table)
        try:
            self._thread.submit(self._tidy, log, table)
        except RuntimeError as error:  # no thread can be started
            _log.warning("%s is not tidied: %s", table, error)
            self._done(table)

    def _tidy(self, log: Log, table: str) -> None:
        try:
            if self._may():
                upkeep.tidy(log)
        except EngineError as error:  # the next round of care tells whoever looks after it
            _log.info("%s is not tidied: %s", table, error)
        except Exception:  # noqa: BLE001 - it must not end the thread
            _log.exception("%s is not tidied", table)
        finally:
            self._done(table)

    def _done(self, *tables: str) -> None:
        with self._changed:
            self._at_work.difference_update(tables)
            self._changed.notify_all()

    def finish(self, log: Log) -> None:
        """Wait until nothing is at work on a table."""
        with self._changed:
            self._changed.wait_for(lambda: str(log.files.here) not in self._at_work)

    def close(self) -> None:
        """Finish the table at work, and leave the others."""
        with self._changed:
            self._closed = True
        self._thread.shutdown(cancel_futures=True)
        self._done(*self._at_work)

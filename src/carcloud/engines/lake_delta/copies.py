"""A table as one commit and its files, to be kept elsewhere and made again."""

import json
from collections.abc import Iterable

from carcloud.engines.lake_delta.log import FOLDER, Log, commit_info
from carcloud.engines.lake_delta.snapshot import Action, add_action
from carcloud.ports.errors import Conflict
from carcloud.ports.lake import TableCopy


def copy_of(name: str, log: Log) -> TableCopy | None:
    """The table as it is now; None where nobody has written it."""
    seen = log.refresh()
    if seen.version < 0 or seen.dropped:
        return None
    actions: list[Action] = [
        commit_info("RESTORE"),
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {"metaData": seen.metadata},
        *({"txn": {"appId": name, "version": seq}} for name, seq in seen.writers.items()),
        *({"add": add_action(file)} for file in seen.files.values()),
    ]
    lines = "\n".join(json.dumps(action, ensure_ascii=False) for action in actions)
    files = tuple((file.path, file.size) for file in seen.files.values())
    rows = sum(file.rows for file in seen.files.values())
    return TableCopy(name, rows, lines.encode(), files, log.files.read)


def restore(log: Log, commit: bytes, files: Iterable[tuple[str, bytes]]) -> None:
    """Make a table of a copy; raises `Conflict` where there is one already."""
    if log.refresh().version >= 0:
        raise Conflict(f"lake: {log.files.root} exists")
    for path, data in files:
        log.files.put(path, data)
    if not log.files.put_if_absent(f"{FOLDER}/{0:020d}.json", commit):
        raise Conflict(f"lake: {log.files.root} exists")

"""The command `forward`: what a campaign keeps in the vehicle is sent, up to a time.

As a job of AWS IoT FleetWise: it opens the partitions of a campaign, or one of them, for the
records that were kept up to `until`, whatever their own condition of upload says. Without `until`
that is what is there now. It survives a restart.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from carcloud.agent.keeping import Keeper, stream_of
from carcloud.agent.library import write_if_possible
from carcloud.agent.orders import OUT_OF_RANGE, TYPE_MISMATCH, Refused
from carcloud.codecs.campaign.document import Campaign
from carcloud.codecs.campaign.fields import DocumentError, Fields


class Forwarding:
    """Carries out `forward`; `campaigns()` are those that the vehicle holds, by id."""

    def __init__(
        self, file: Path, keeper: Keeper, campaigns: Callable[[], Mapping[str, Campaign]]
    ) -> None:
        self._file = file
        self._keeper = keeper
        self._campaigns = campaigns
        try:
            kept = json.loads(file.read_text("utf-8"))
            keeper.asked.update({str(name): int(until) for name, until in kept.items()})
        except (OSError, ValueError, TypeError, AttributeError):
            keeper.asked.clear()
        keeper.settle()
        keeper.settled = self._write

    async def forward(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send what is kept; answers with how many messages wait in these partitions."""
        name, part = arguments["campaign"], arguments.get("partition")
        campaign = self._campaigns().get(name)
        if campaign is None:
            raise Refused("refused", OUT_OF_RANGE, f"there is no campaign {name!r:.110} here")
        parts = [each.id for each in campaign.partitions if part in (None, each.id)]
        if not parts:
            raise Refused("refused", OUT_OF_RANGE, f"there is no partition {part!r:.110}")
        try:
            until = Fields(arguments).time_us("until")
        except DocumentError as error:
            raise Refused("refused", TYPE_MISMATCH, str(error)) from error
        await self._keeper.flush()
        until = self._keeper.clock() if until is None else until
        streams = [stream_of(name, each) for each in parts]
        for stream in streams:
            self._keeper.asked[stream] = max(until, self._keeper.asked.get(stream, 0))
        self._keeper.settle()
        self._write()
        self._keeper.work.set()
        spool = self._keeper.spool.streams
        return {"waiting": sum(spool[each].waiting for each in streams if each in spool)}

    def _write(self) -> None:
        write_if_possible(self._file, json.dumps(self._keeper.asked))

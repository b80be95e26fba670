"""CAN frames to series of signals, by a mapping: transport layers, DBC files, OBD-II."""

from collections import Counter
from collections.abc import Iterable

from carcloud.codecs.can.frames import CanFrames
from carcloud.codecs.canlog.decoding import LogDecoding, Tally
from carcloud.codecs.canlog.layers import LayerName, layers_for
from carcloud.services.vocabulary.mapping_apply import Series, apply
from carcloud.services.vocabulary.mapping_lists import Lists
from carcloud.services.vocabulary.mapping_types import Mapping


class MappedCan:
    """Reads the frames of one vehicle, block by block."""

    def __init__(self, mapping: Mapping, transports: Iterable[LayerName] | None = None) -> None:
        """`transports`: layers by name; None = those that the messages of the DBC files need."""
        self._mapping = mapping
        every = [one.database for one in mapping.dbc]
        self._decoding = LogDecoding(
            mapping.databases,
            layers_for(every, transports, length_byte=True),
            j1939=mapping.j1939,
            obd=bool(mapping.obd),
        )
        self._mapped = {
            (one.message.id, one.message.extended, one.signal.name)
            for rule in mapping.can
            for one in rule.can
        }
        self._lists = Lists(mapping.can)
        self.unmapped: Counter[str] = Counter()
        """Values by signals that the DBC files have and the mapping has not."""

    @property
    def tally(self) -> Tally:
        """What was read so far."""
        return self._decoding.tally

    def feed(self, frames: CanFrames) -> list[Series]:
        """What this block completes."""
        decoded, answers = self._decoding.columns(frames)
        columns = [column for one in decoded for column in one.columns if len(column.time)]
        for column in columns:
            message = column.message
            if (message.id, message.extended, column.signal.name) not in self._mapped:
                self.unmapped[f"{message.name}.{column.signal.name}"] += len(column.time)
        found = apply(self._mapping, columns, answers.series, answers.codes)
        return [*found, *self._lists.feed(columns)]

    def finish(self) -> list[Series]:
        """Lists that nothing completed; counts messages that were never completed."""
        self._decoding.finish()
        return self._lists.finish()

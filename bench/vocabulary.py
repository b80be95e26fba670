"""One vocabulary: how fast CAN logs, and the protocols beside them, become signals.

Each part tells its method in its own module: `bench/vocabulary_can.py` decodes CAN logs,
`bench/vocabulary_jt808.py` reads position reports of trucks,
`bench/vocabulary_fields.py` reads fields of cars' reports that models map,
`bench/vocabulary_samples.py` reads batches of MQTT,
`bench/vocabulary_mqtt.py` has vehicles publish them,
`bench/vocabulary_agent.py` carries frames through the campaigns of a vehicle,
`bench/vocabulary_campaigns.py` brings campaigns to vehicles.
"""

from collections.abc import Iterator

from bench import (
    Row,
    vocabulary_agent,
    vocabulary_campaigns,
    vocabulary_can,
    vocabulary_fields,
    vocabulary_jt808,
    vocabulary_mqtt,
    vocabulary_samples,
)

PARTS = (
    vocabulary_can,
    vocabulary_jt808,
    vocabulary_fields,
    vocabulary_samples,
    vocabulary_mqtt,
    vocabulary_agent,
    vocabulary_campaigns,
)


def rows(small: bool = False) -> Iterator[Row]:
    """The figures of all parts, as they come; `small` measures on little input."""
    for part in PARTS:
        yield from part.figures(small)

"""What a simulation is asked to do and what came of it."""

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from carcloud.simulator.faults import Truth
from carcloud.simulator.keys import Signing
from carcloud.simulator.protection import Encrypting

Confirmation = Literal["auto", "reply", "heartbeat"]


@dataclass(frozen=True, slots=True)
class SimulateOptions:
    """A fleet, the server it reports to, and how the vehicles behave."""

    host: str = "127.0.0.1"
    port: int = 32960
    protocol: Literal["gbt32960", "jt808"] = "gbt32960"
    vehicles: int = 300
    share_2025: float = 0.5  # of the vehicles; the rest speaks the 2016 edition
    # (over JT/T 808: share of 2019, the rest speaks the 2013 edition)
    period_s: float = 1.0  # between two reports of a vehicle, at least 1
    seconds: float | None = None  # None: until stopped
    seed: int = 1
    losses_per_hour: float = 0.0  # connections that break, on average per vehicle
    faults: Mapping[str, int] = field(default_factory=dict)  # vehicles by name of the fault
    confirmation: Confirmation = "auto"  # what makes a report acknowledged
    heartbeat_s: float = 30.0
    login_timeout_s: float = 60.0
    reply_timeout_s: float = 60.0  # unanswered for so long: the vehicle reconnects
    backoff_s: tuple[float, float] = (0.5, 30.0)  # first and longest wait before reconnecting
    connects_per_second: float = 500.0
    drain_s: float = 30.0  # longest wait for outstanding acknowledgements at the end
    logout: bool = True  # say goodbye at the end
    keep_mb: float = 200.0  # memory for unconfirmed reports; beyond it no new ones are made
    record_acknowledged: bool = True  # 8 bytes for every acknowledged report
    local_addresses: tuple[str, ...] = ()  # connect from these, in turn
    ca: Path | None = None  # trusted authority; given = TLS
    cert: Path | None = None  # of the vehicles, for mutual TLS
    key: Path | None = None
    server_name: str | None = None  # in the server's certificate, if it is not `host`
    sign: Signing | None = None  # 2025 vehicles activate a chip and sign their reports
    encrypt: Encrypting | None = None  # 2025 vehicles send a key and encrypt their reports

    def __post_init__(self) -> None:
        if self.vehicles < 1:
            raise ValueError("a fleet has at least one vehicle")
        if self.period_s < 1.0:
            raise ValueError("a collection time has whole seconds: the period is at least 1 s")
        if self.protocol == "jt808" and (self.faults or self.sign or self.encrypt):
            raise ValueError("faults, signatures and encryption are of GB/T 32960 vehicles")
        if not 0.0 <= self.share_2025 <= 1.0:
            raise ValueError("the share of 2025 vehicles lies between 0 and 1")

    def editions(self) -> NDArray[np.int64]:
        """2016 or 2025 for each vehicle, mixed evenly, shape (vehicles,)."""
        steps = np.floor(np.arange(self.vehicles + 1) * self.share_2025 + 1e-9)
        return np.where(np.diff(steps) > 0, 2025, 2016)

    def tls(self) -> ssl.SSLContext | None:
        """The client's TLS settings, or None for a plain connection."""
        if self.ca is None and self.cert is None:
            return None
        context = ssl.create_default_context(cafile=self.ca)
        if self.cert is not None:
            context.load_cert_chain(self.cert, self.key)
        return context


@dataclass(frozen=True, slots=True)
class Progress:
    """A look at a running simulation."""

    elapsed_s: float
    connected: int  # vehicles that are logged in
    sent: int  # distinct reports put on the wire
    acknowledged: int
    reissued: int  # times that a report was sent late, as 0x03
    unconfirmed: int  # reports kept, on the wire or not
    lost_connections: int


@dataclass(frozen=True, slots=True)
class SimulateResult:
    """What came of a simulation."""

    vehicles: tuple[str, ...]  # VINs
    elapsed_s: float
    sent: int  # distinct reports put on the wire
    acknowledged: int
    reissued: int  # times that a report was sent late, as 0x03
    refused: int  # reports given up after three error replies
    unconfirmed: int  # reports neither acknowledged nor refused at the end
    held_back: int  # reports not made because `keep_mb` was used up
    stray_replies: int  # replies that match nothing on the wire
    lost_connections: int
    ack_p50_ms: float  # from the last sending of a report to its acknowledgement; nan = none
    ack_p99_ms: float
    truths: tuple[Truth, ...]
    acknowledged_vehicle: NDArray[np.uint32]  # index into `vehicles`, one entry per report
    acknowledged_seconds: NDArray[np.uint32]  # its collection time, UTC seconds since 1970

    def acknowledged_counts(self) -> dict[str, int]:
        """Acknowledged reports of every vehicle."""
        counts = np.bincount(self.acknowledged_vehicle, minlength=len(self.vehicles))
        return dict(zip(self.vehicles, counts.tolist(), strict=True))

    def acknowledged_reports(self) -> Iterator[tuple[str, int]]:
        """Every acknowledged report as VIN and collection time, UTC seconds since 1970."""
        for car, seconds in zip(
            self.acknowledged_vehicle.tolist(), self.acknowledged_seconds.tolist(), strict=True
        ):
            yield self.vehicles[car], seconds

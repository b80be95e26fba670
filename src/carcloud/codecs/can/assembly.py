"""Messages of several frames put together, for any transport layer, as arrays.

A transport layer says of each of its frames which message stream it belongs to, whether it begins
a message, its number, and where its data lie. The rest is the same for all and done here at once
for all frames: no loop over frames.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from carcloud.codecs.can.frames import CanFrames

NO_LIMIT = np.int64(2**62)


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """k frames of a transport layer, those of one key in the order in which they were sent.

    key: int64 (k,), one message at a time is under way under a key
    opens: bool (k,), begins a message
    closes: bool (k,), ends what is under way (an abort)
    number: int64 (k,), of the frame within its message, which the frame that opens has as 0
    modulus: the numbers count up to it, and begin again
    skip: int64 (k,), first byte of data in the frame
    total: int64 (k,), bytes of the message, in frames that open one
    gap: int64 (k,), longest time to the frame before, ns
    can_id: uint32 (k,), of the message, in frames that open one
    """

    frames: CanFrames
    key: NDArray[np.int64]
    opens: NDArray[np.bool_]
    closes: NDArray[np.bool_]
    number: NDArray[np.int64]
    modulus: int
    skip: NDArray[np.int64]
    total: NDArray[np.int64]
    gap: NDArray[np.int64]
    can_id: NDArray[np.uint32]


@dataclass(frozen=True, slots=True, eq=False)
class Assembled:
    """messages: whole ones, at the time of their first frame, in the order of these.

    dropped: messages that did not become whole, by reason: "incomplete", "sequence", "gap"; and
        frames that belong to none, as "stray".
    pending: frames of messages that are still under way; they go before the next block.
    """

    messages: CanFrames
    dropped: Counter[str] = field(default_factory=Counter)
    pending: CanFrames = field(default_factory=CanFrames.empty)


class Transport(Protocol):
    """A transport layer: which frames are its own, and what they say."""

    def mine(self, frames: CanFrames) -> NDArray[np.bool_]:
        """Which frames (n,) belong to this layer."""
        ...

    def parts(self, frames: CanFrames) -> Parts:
        """What frames of this layer say, those of one key in the order in which they were sent."""
        ...


class Assembler:
    """Puts messages together block by block; a message may begin in one and end in another."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._pending: CanFrames | None = None
        self.dropped: Counter[str] = Counter()
        self.taken = 0  # frames

    def feed(self, frames: CanFrames) -> CanFrames:
        """The messages that this block completes."""
        mine = frames.select(self._transport.mine(frames))
        self.taken += len(mine)
        if self._pending is not None and len(self._pending):
            mine = CanFrames.concat([self._pending, mine])
        done = assemble(self._transport.parts(mine), keep=True)
        self._pending = done.pending.compact()
        self.dropped += done.dropped
        return done.messages

    def finish(self) -> None:
        """Counts what is still under way as incomplete."""
        if self._pending is not None and len(self._pending):
            self.dropped += assemble(self._transport.parts(self._pending)).dropped
        self._pending = None


def assemble(parts: Parts, *, keep: bool = False) -> Assembled:
    """All whole messages. `keep` returns the frames of the last, unfinished ones as pending."""
    if not len(parts.frames):
        return Assembled(parts.frames)
    order = np.argsort(parts.key, kind="stable")
    rows = _Rows(parts, order)
    whole = rows.whole()
    late = rows.any_of(rows.needed & rows.late)
    wrong = rows.any_of(rows.needed & rows.out_of_turn)
    last = rows.last_of_key()
    # the newest time stands for now: what was silent for too long before it is over
    waiting = keep & rows.begun & last & ~whole & ~late & ~wrong & ~rows.expired()
    failed = rows.begun & ~(whole & ~late & ~wrong) & ~waiting
    reasons = np.where(wrong, "sequence", np.where(late, "gap", "incomplete"))
    dropped = Counter(reasons[failed].tolist())
    stray = int(np.count_nonzero(~rows.needed & ~rows.closing))
    if stray:
        dropped["stray"] = stray
    pending = parts.frames.select(np.sort(order[waiting[rows.session]]))
    return Assembled(rows.messages(whole & ~late & ~wrong), dropped, pending)


class _Rows:
    """The frames sorted by key; `session` numbers the runs that begin with an opening frame."""

    def __init__(self, parts: Parts, order: NDArray[np.int64]) -> None:
        self.parts = parts
        self.order = order
        self.frames = parts.frames.select(order)
        key, opens, self.closing = parts.key[order], parts.opens[order], parts.closes[order]
        new_key = np.r_[True, key[1:] != key[:-1]]
        edge = new_key | opens | self.closing
        self.session = np.cumsum(edge) - 1
        self.first = np.flatnonzero(edge)  # row of each session
        self.begun = opens[self.first]
        self._key = key
        self.turn = np.arange(len(key)) - self.first[self.session]
        self.out_of_turn = self.turn % parts.modulus != parts.number[order]
        time = self.frames.time
        self.late = (np.r_[0, np.diff(time)] > parts.gap[order]) & (self.turn > 0)
        self._spread_bytes()

    def _spread_bytes(self) -> None:
        """How many bytes each row gives, and where in its message they go."""
        self.skip = self.parts.skip[self.order]
        offered = np.maximum(self.frames.length.astype(np.int64) - self.skip, 0)
        up_to = np.cumsum(offered) - offered
        self.at = up_to - up_to[self.first][self.session]
        self.total = self.parts.total[self.order][self.first]
        left = np.where(self.begun, self.total, 0)[self.session] - self.at
        self.take = np.clip(left, 0, offered)
        self.needed = ((left > 0) | (self.turn == 0)) & self.begun[self.session]

    def whole(self) -> NDArray[np.bool_]:
        got = np.bincount(self.session, self.take, len(self.first))
        return np.asarray(self.begun & (got == self.total))

    def any_of(self, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which sessions have such a row."""
        return np.asarray(np.bincount(self.session[rows], minlength=len(self.first)) > 0)

    def last_of_key(self) -> NDArray[np.bool_]:
        keys = self._key[self.first]
        return np.asarray(np.r_[keys[1:] != keys[:-1], True])

    def expired(self) -> NDArray[np.bool_]:
        last = np.r_[self.first[1:], len(self.session)] - 1
        silent = self.frames.time.max() - self.frames.time[last]
        return np.asarray(silent > self.parts.gap[self.order][last])

    def messages(self, good: NDArray[np.bool_]) -> CanFrames:
        chosen = good[self.session] & (self.take > 0)
        take = self.take[chosen]
        source = (self.frames.start + self.skip)[chosen]
        ends = np.cumsum(take)
        inside = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - take, take)
        payload = self.frames.payload[np.repeat(source, take) + inside]
        openers = self.first[good]
        head = self.frames.select(openers)
        built = CanFrames.build(
            head.time,
            self.parts.can_id[self.order][openers],
            payload,
            self.total[good],
            bus=head.bus,
            extended=head.extended,
            flags=head.flags,
            clock=self.frames.clock,
        )
        return built.select(np.argsort(self.order[openers], kind="stable"))

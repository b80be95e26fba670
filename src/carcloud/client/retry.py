"""When a call is asked again, and after how long: decided here, slept for elsewhere."""

import random
from dataclasses import dataclass, replace

import httpx

from carcloud.client.errors import Unreachable, refusal, seconds

BUSY = frozenset({429, 503})
BROKE_OFF = httpx.RemoteProtocolError("the connection broke off")


@dataclass(frozen=True, slots=True)
class Retry:
    """How stubborn a client is.

    A call that only reads is repeated when the connection breaks, and on 429, 502, 503 and 504. Any
    other call is repeated only where it cannot have taken effect: when no connection came about,
    and on 429 or 503 with a Retry-After. Pauses double from `first_s`, each shortened at random by
    up to half; a Retry-After is kept to, and one above `most_s` is not waited for.
    """

    times: int = 4  # further attempts; 0 = never
    first_s: float = 0.2
    most_s: float = 20.0
    unreachable: bool = True  # also when nobody listens

    def begin(self, *, reads: bool, url: str, once: bool = False) -> "Attempts":
        """The attempts of one call to `url`; `once` = it cannot be sent again."""
        return Attempts(replace(self, times=0) if once else self, reads, url)


class Attempts:
    """The attempts of one call: each outcome gives a pause in seconds, or raises."""

    def __init__(self, retry: Retry, reads: bool, url: str) -> None:
        self._retry, self._reads, self._url = retry, reads, url
        self._made = 0

    def went_well(self) -> None:
        """Something came: a stream that breaks off later has all its attempts again."""
        self._made = 0

    def failed(self, error: Exception, *, can: bool = True) -> float:
        """No answer, or half of one. Raises `Unreachable` when it is not to be asked again."""
        nothing_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
        again = self._retry.unreachable if nothing_sent else self._reads
        lasting = isinstance(error, httpx.UnsupportedProtocol)
        if lasting or not (can and again) or self._made >= self._retry.times:
            raise Unreachable(self._url, str(error) or type(error).__name__) from error
        return self._pause()

    def answered(self, answer: httpx.Response) -> float | None:
        """None = a good answer. Raises a `Refused` when it is not to be asked again."""
        if answer.is_success:
            return None
        wait = seconds(answer.headers.get("retry-after"))
        busy = answer.status_code in BUSY
        again = busy and wait is not None
        if self._reads:
            again = busy or answer.status_code in (502, 504)
        if not again or self._made >= self._retry.times or (wait or 0) > self._retry.most_s:
            raise refusal(answer)
        return max(self._pause(), wait or 0)

    def _pause(self) -> float:
        whole = min(self._retry.most_s, self._retry.first_s * 2.0**self._made)
        self._made += 1
        return whole * random.uniform(0.5, 1)  # noqa: S311 - spreads clients, hides nothing

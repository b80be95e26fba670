"""What the compute service refuses, and whose fault it is."""


class UnknownJob(Exception):
    """There is no such job, artifact or schedule in this tenant."""


class InvalidJob(Exception):
    """A field of a job or schedule has a value that it cannot take."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field
        self.detail = detail


class JobEnded(Exception):
    """The job has ended, so this cannot be done to it any more."""


class ScheduleExists(Exception):
    """The tenant has a schedule of this name."""


class ScheduleChanged(Exception):
    """Somebody else changed the schedule first."""


class JobFailed(Exception):
    """What a kind raises to end its job with a message for people and no traceback.

    `limit` names the limit that it ran into; `again` False = trying once more makes no sense.
    """

    def __init__(self, detail: str, *, limit: str | None = None, again: bool = True) -> None:
        super().__init__(detail)
        self.limit = limit
        self.again = again

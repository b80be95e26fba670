"""What the service refuses, and what can go wrong on the way."""


class UnknownExport(Exception):
    """There is no such export of this tenant."""


class NotReady(Exception):
    """The archive of an export is not there, or not any more."""


class ExportGoing(Exception):
    """An export of this tenant is being made already."""


class Torn(Exception):
    """Something changed while it was copied: the copy begins anew."""


class Ended(Exception):
    """The piece of work was taken back, or its process is to end."""


class Undecided(Exception):
    """A table of the records of which nobody has said whose rows it holds."""


class NotConfirmed(ValueError):
    """What was typed is not the name of the tenant."""


class NotSuspended(Exception):
    """A tenant is deleted only while it is suspended."""


class NoDeletion(Exception):
    """Nobody has asked for the deletion of this tenant."""


class TooLate(Exception):
    """The deletion was asked for, has begun, is done or was cancelled already."""


class NotYet(Exception):
    """A step waits for something; the message says what."""

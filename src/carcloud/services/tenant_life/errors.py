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

"""What the service refuses, and whose fault it is."""


class UnknownCampaign(Exception):
    """There is no such campaign, or no such version of it, in this tenant."""


class CampaignExists(Exception):
    """A campaign of this id is there already."""


class InvalidCampaign(ValueError):
    """The caller gave a document, a target or a value that cannot be.

    `field` says which, as "signals[2].path"; `position` is the 0-based character of an expression.
    """

    def __init__(self, field: str, detail: str, position: int | None = None) -> None:
        super().__init__(f"{field}: {detail}" if field else detail)
        self.field = field
        self.detail = detail
        self.position = position


class WrongState(Exception):
    """What is asked cannot be done to a campaign that stands so."""


class CampaignChanged(Exception):
    """Somebody else changed the campaign first."""


class DryRunBusy(Exception):
    """Another dry run is being worked on."""

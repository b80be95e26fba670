"""What tenancy refuses, and whose fault it is."""


class NotSignedIn(Exception):
    """The token is unknown, has ended or was taken back; or the name or password is wrong."""


class SecondFactorNeeded(NotSignedIn):
    """The password is right, and a code of the second factor is wanted too."""


class SignInRefused(NotSignedIn):
    """Signing in at a provider did not work out; `why` is a short code for the console, `back` the
    page of it that tells."""

    def __init__(self, why: str, detail: str) -> None:
        super().__init__(detail)
        self.why = why
        self.back = "/"


class Throttled(Exception):
    """Too many failed sign-ins; trying again makes sense after `retry_after_s`."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too many failed sign-ins; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class Denied(Exception):
    """The caller is known and may not do this; `action` says what would be needed.

    `hidden`: not even the existence of the thing is for the caller to know.
    """

    def __init__(self, action: str, detail: str, *, hidden: bool = False) -> None:
        super().__init__(detail)
        self.action = action
        self.hidden = hidden


class SecondFactorMissing(Denied):
    """The tenant wants a second factor of people, and the caller has not set one up yet."""


class Invalid(ValueError):
    """The caller gave a value that cannot be; `field` says which argument."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail


class NoSecret(ValueError):
    """Something is to be sealed and the installation has no secret to do it with."""


class Exists(Exception):
    """A thing of that name exists already."""


class Unknown(Exception):
    """There is no such tenant, user, role, grant or key in this tenant."""


class Changed(Exception):
    """Somebody else changed it first."""

"""Carcloud from Python: `Client` for notebooks and scripts, `AsyncClient` for servers."""

from carcloud.client.access_types import Scope
from carcloud.client.arrow import TruncatedWarning
from carcloud.client.asynchronous import AsyncClient
from carcloud.client.blocking import Client
from carcloud.client.campaigns import Target
from carcloud.client.cost_types import Price, Tier
from carcloud.client.errors import (
    CarcloudError,
    Changed,
    Conflict,
    FieldError,
    Forbidden,
    Invalid,
    NoCarcloud,
    NotCarcloud,
    NotFound,
    NotSignedIn,
    Problem,
    Quota,
    Refused,
    ServerFailed,
    TooMany,
    Unreachable,
    UnreadableAccess,
)
from carcloud.client.jobs import JobFailed
from carcloud.client.retry import Retry
from carcloud.client.tenants import Owner
from carcloud.client.types import JobDetail, LifecycleRule, LogText, NewJob
from carcloud.client.vehicles import CredentialsChange

__all__ = [
    "AsyncClient",
    "CarcloudError",
    "Changed",
    "Client",
    "Conflict",
    "CredentialsChange",
    "FieldError",
    "Forbidden",
    "Invalid",
    "JobDetail",
    "JobFailed",
    "LifecycleRule",
    "LogText",
    "NewJob",
    "NoCarcloud",
    "NotCarcloud",
    "NotFound",
    "NotSignedIn",
    "Owner",
    "Price",
    "Problem",
    "Quota",
    "Refused",
    "Retry",
    "Scope",
    "ServerFailed",
    "Target",
    "Tier",
    "TooMany",
    "TruncatedWarning",
    "Unreachable",
    "UnreadableAccess",
]

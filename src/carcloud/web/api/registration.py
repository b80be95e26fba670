"""The route with which anybody makes a tenant, where the installation allows it."""

from typing import Any

from litestar import Request, Response, post
from litestar.params import JSONBody

from carcloud.config import InvalidSetting, Settings
from carcloud.model.ids import tenant as tenant_id
from carcloud.services.tenancy.api import Unknown, check_limit
from carcloud.web.api.tenants import NewTenant
from carcloud.web.describe import errors
from carcloud.web.given import TheRegistrationLimits, TheSettings, TheTenancy
from carcloud.web.problems import Refused
from carcloud.web.security import same_origin
from carcloud.web.signed_in import SessionView, client_of, first_session


@post(
    "/registration",
    status_code=200,
    summary="Make a tenant of one's own",
    description="Only where `tenants.registration` is on. Sets the session cookie.",
    guards=[same_origin],
    security=[{}],
    responses=errors(400, 403, 404, 409, 413, 429, 503, 507),
)
async def register(
    request: Request[Any, Any, Any],
    data: JSONBody[NewTenant],
    tenancy: TheTenancy,
    settings: TheSettings,
    registration_limits: TheRegistrationLimits,
) -> Response[SessionView]:
    """Make a tenant and sign in as its owner."""
    if not settings.flag("tenants.registration"):
        raise Refused(404, "tenants are made by administrators here")

    def made() -> str:
        tenancy.register(
            tenant_id(data.id),
            data.name,
            data.owner.name,
            data.owner.password,
            limits=registration_limits,
            address=client_of(request).address,
            most=settings.whole("tenants.registrations_per_address"),
        )
        return data.owner.name

    return await first_session(request, tenancy, settings, made)


def limits_of(settings: Settings) -> dict[str, int]:
    """The limits of a tenant that was made so; raises `InvalidSetting`."""
    found = {}
    for pair in filter(str.strip, settings.text("tenants.registration_limits").split(",")):
        name, _, value = (part.strip() for part in pair.partition("="))
        try:
            found[name] = int(value)
            check_limit(name, found[name])
        except (ValueError, Unknown) as error:
            raise InvalidSetting(f"tenants.registration_limits, {pair!r}: {error}") from error
    return found

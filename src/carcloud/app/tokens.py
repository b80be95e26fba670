"""The token for commands of this machine's owner, left in the run folder."""

from carcloud.model.ids import DEFAULT_TENANT
from carcloud.services.tenancy.api import Role, Tenancy

_NAME = "local commands"


def local_token(tenancy: Tenancy) -> str:
    """A new administrator's token; those of earlier starts end."""
    for token in tenancy.tokens(DEFAULT_TENANT):
        if token.name == _NAME:
            tenancy.revoke_token(DEFAULT_TENANT, token.id, actor="carcloud")
    tenancy.ensure_tenant(DEFAULT_TENANT)
    _, secret = tenancy.create_token(DEFAULT_TENANT, _NAME, Role.ADMIN, actor="carcloud")
    return secret

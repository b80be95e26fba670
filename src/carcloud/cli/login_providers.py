"""`carcloud login-providers`: where people sign in besides, from a terminal."""

from pathlib import Path

import click

from carcloud.cli.client import Client, with_client
from carcloud.cli.examples import ExampleCommand, ExampleGroup
from carcloud.cli.tables import show_items

_COLUMNS = ("id", "name", "issuer", "client_id", "installation", "creates", "role")
_SET = (
    "carcloud login-providers set north --name 'North Fleet' --issuer https://login.example.com "
    "--client-id carcloud --domain example.com --create-as viewer"
)


@click.group(
    "login-providers", cls=ExampleGroup, examples=(_SET, "carcloud login-providers list --json")
)
def command() -> None:
    """Let people sign in at OpenID Connect providers."""


@command.command("list", cls=ExampleCommand, examples=("carcloud login-providers list --json",))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def list_providers(as_json: bool, client: Client) -> None:
    """List the providers of the tenant and of the installation."""
    show_items(_COLUMNS, client.get("/v1/login-providers")["items"], as_json=as_json)


@command.command("set", cls=ExampleCommand, examples=(_SET,))
@click.argument("provider")
@click.option("--name", required=True, help="For people to read.")
@click.option("--issuer", required=True, help="Address of the provider, as it tells it.")
@click.option("--client-id", required=True, help="What the provider calls this carcloud.")
@click.option(
    "--secret-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="First line = secret of the client; without it, what is there stays.",
)
@click.option("--domain", "domains", multiple=True, help="Only verified addresses of this domain.")
@click.option("--create-as", metavar="ROLE", help="Who comes first becomes a user with this role.")
@click.option("--claim", help="A claim whose values give roles, such as `groups`.")
@click.option("--map", "pairs", multiple=True, metavar="VALUE=ROLE", help="A value of the claim.")
@click.option("--installation", is_flag=True, help="For people of all tenants.")
@with_client
def set_provider(
    provider: str,
    name: str,
    issuer: str,
    client_id: str,
    secret_file: Path | None,
    domains: tuple[str, ...],
    create_as: str | None,
    claim: str | None,
    pairs: tuple[str, ...],
    installation: bool,
    client: Client,
) -> None:
    """Add or change the provider PROVIDER."""
    roles = dict(pair.rpartition("=")[::2] for pair in pairs)
    if "" in roles:
        raise click.BadParameter("a value and a role, as in drivers=operator", param_hint="--map")
    body = {
        "name": name, "issuer": issuer, "client_id": client_id, "domains": list(domains),
        "creates": create_as is not None or bool(roles), "role": create_as, "claim": claim,
        "roles": roles, "installation": installation,
    }  # fmt: skip
    if secret_file is not None:
        body["client_secret"] = secret_file.read_text().partition("\n")[0]
    made = client.send("PUT", f"/v1/login-providers/{provider}", json=body).json()
    click.echo(f"register this address at the provider: {made['callback']}")


@command.command(
    "remove", cls=ExampleCommand, examples=("carcloud login-providers remove north --yes",)
)
@click.argument("provider")
@click.option("--installation", is_flag=True, help="One for people of all tenants.")
@click.confirmation_option(prompt="Nobody signs in there any more. Go on?", help="Do not ask.")
@with_client
def remove(provider: str, installation: bool, client: Client) -> None:
    """Remove a provider; users stay, and need another way in."""
    query = {"installation": "true"} if installation else {}
    client.send("DELETE", f"/v1/login-providers/{provider}", query=query)
    click.echo(f"{provider} is removed")

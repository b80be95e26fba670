"""A small OpenID Connect provider that takes public clients and asks them for PKCE: Authlib's own
authorization server with its `CodeChallenge`. Everybody who comes signs in as `sub`."""

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, grants
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import OpenIDCode
from flask import Flask, Response, jsonify, request
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server

KEY = RSAKey.generate_key(2048, {"kid": "of-the-provider", "use": "sig", "alg": "RS256"})


class Client(ClientMixin):
    """Every client is good: what is tested is the proof that its codes are bound to."""

    def __init__(self, client: str) -> None:
        self.client = client

    def get_client_id(self) -> str:
        return self.client

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return True

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "none"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


@dataclass
class Code(AuthorizationCodeMixin):
    """A code and what it is bound to."""

    client: str
    redirect_uri: str
    scope: str
    nonce: str
    sub: str
    code_challenge: str | None
    code_challenge_method: str | None

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str:
        return self.nonce

    def get_auth_time(self) -> int:
        return int(time.time())

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> None:
        return None


CODES: dict[str, Code] = {}


class CodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ("none",)

    def save_authorization_code(self, code: str, asked: Any) -> None:
        told = asked.payload.data
        CODES[code] = Code(
            asked.client.client, told["redirect_uri"], told["scope"], told["nonce"],
            asked.user, told.get("code_challenge"), told.get("code_challenge_method"),
        )  # fmt: skip

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        found = CODES.get(code)
        return found if found is not None and found.client == client.client else None

    def delete_authorization_code(self, authorization_code: Code) -> None:
        for code in [one for one, found in CODES.items() if found is authorization_code]:
            del CODES[code]

    def authenticate_user(self, authorization_code: Code) -> str:
        return authorization_code.sub


class IdToken(OpenIDCode):
    def exists_nonce(self, nonce: str, request: Any) -> bool:
        return any(found.nonce == nonce for found in CODES.values())

    def resolve_client_private_key(self, client: Client) -> RSAKey:
        return KEY

    def get_encode_header(self, client: Client) -> dict[str, str]:
        return {"alg": "RS256", "kid": "of-the-provider"}

    def get_client_claims(self, client: Client) -> dict[str, Any]:
        return {"iss": request.host_url.rstrip("/"), "aud": client.client}

    def generate_user_info(self, user: str, scope: str) -> dict[str, str]:
        return {"sub": user, "preferred_username": user}


def _app() -> Flask:
    app = Flask(__name__)
    app.secret_key = secrets.token_bytes(16)
    server = AuthorizationServer(app, query_client=Client, save_token=lambda *_: None)
    server.register_grant(CodeGrant, [IdToken(require_nonce=True), CodeChallenge(required=True)])

    @app.get("/.well-known/openid-configuration")
    def discovery() -> Response:
        here = request.host_url.rstrip("/")
        return jsonify(
            issuer=here, authorization_endpoint=f"{here}/authorize",
            token_endpoint=f"{here}/token", jwks_uri=f"{here}/jwks",
            response_types_supported=["code"], subject_types_supported=["public"],
            id_token_signing_alg_values_supported=["RS256"],
            token_endpoint_auth_methods_supported=["none"],
            code_challenge_methods_supported=["S256"],
        )  # fmt: skip

    @app.get("/jwks")
    def jwks() -> Response:
        return jsonify(keys=[KEY.as_dict(private=False)])

    @app.post("/authorize")
    def authorize() -> Any:
        return server.create_authorization_response(grant_user=request.form["sub"])

    @app.post("/token")
    def token() -> Any:
        return server.create_token_response()

    return app


@contextmanager
def running() -> Iterator[str]:
    """The provider's issuer, for so long."""
    server = make_server("127.0.0.1", 0, _app(), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

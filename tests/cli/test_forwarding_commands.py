"""Links and lower platforms from a terminal: what is sent, what is printed."""

import json

LINK = {
    "name": "city", "host": "192.0.2.10", "port": 32960, "enabled": True, "connected": False,
    "forwarded": 12, "waiting": 34, "refused": 0, "expired": 0, "problem": "NoReply",
    "warning": "retention",
}  # fmt: skip
ACCOUNT = {"platform_id": "P1", "user": "maker", "created": "2026-05-01", "updated": "2026-05-01"}


def test_links_are_listed_with_what_is_wrong(carcloud, web):
    carcloud.runs_at(web)
    web.says("GET", "/v1/forwarding", {"items": [LINK]})
    shown = carcloud("forwarding", "list").output
    for part in ("192.0.2.10:32960", "34", "NoReply", "warning: city is far behind"):
        assert part in shown
    assert json.loads(carcloud("forwarding", "list", "--json").output) == LINK


def test_a_link_is_added_switched_and_removed(carcloud, web, tmp_path):
    carcloud.runs_at(web)
    web.says("POST", "/v1/forwarding", LINK, 201)
    web.says("GET", "/v1/forwarding/city", LINK, etag='"3"')
    web.says("PATCH", "/v1/forwarding/city", LINK)
    web.says("DELETE", "/v1/forwarding/city", b"", 204)
    secret = tmp_path / "password.txt"
    secret.write_text("kept between us\n")
    results = [
        carcloud(
            "forwarding", "add", "city", "192.0.2.10:32960", "--platform", "P1",
            "--user", "maker", "--password-file", str(secret), "--tls",
        ),
        carcloud("forwarding", "disable", "city"),
        carcloud("forwarding", "remove", "city", "--yes"),
    ]  # fmt: skip
    assert [result.exit_code for result in results] == [0, 0, 0]
    added, _, switched, _ = web.asked
    assert json.loads(added.body) == {
        "name": "city", "host": "192.0.2.10", "port": 32960, "platform_id": "P1", "user": "maker",
        "password": "kept between us", "tls": True, "edition": 2016, "enabled": True,
    }  # fmt: skip
    assert json.loads(switched.body) == {"enabled": False}
    assert switched.headers["if-match"] == '"3"'


def test_what_cannot_be_is_told_before_anything_is_sent(carcloud, web):
    carcloud.runs_at(web)
    words = ("forwarding", "add", "city", "192.0.2.10", "--platform", "P1", "--user", "maker")
    assert "HOST:PORT" in carcloud(*words).output
    asked = carcloud("platforms", "grant", "P1", "--user", "maker")
    assert "--password-file" in asked.output
    assert web.asked == []


def test_accounts_are_listed_granted_and_revoked(carcloud, web, tmp_path):
    carcloud.runs_at(web)
    web.says("GET", "/v1/platforms", {"items": [ACCOUNT]})
    web.says("PUT", "/v1/platforms/P1", ACCOUNT, 201)
    web.says("DELETE", "/v1/platforms/P1", b"", 204)
    secret = tmp_path / "password.txt"
    secret.write_text("secret")
    assert "maker" in carcloud("platforms", "list").output
    granted = carcloud(
        "platforms", "grant", "P1", "--user", "maker", "--password-file", str(secret)
    )
    assert "P1 may log in" in granted.output
    assert carcloud("platforms", "revoke", "P1", "--yes").exit_code == 0
    assert json.loads(web.asked[1].body) == {"user": "maker", "password": "secret"}

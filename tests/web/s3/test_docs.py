"""The Python example of docs/storage.md does what it says."""

from pathlib import Path

from tests.web.s3.conftest import Store

PAGE = Path(__file__).parents[3] / "docs" / "storage.md"


def test_the_example_runs(store: Store):
    code = PAGE.read_text().split("```python\n", 1)[1].split("```")[0]
    key = store.keys["a" * 16]
    names = {"ENDPOINT": store.url, "ACCESS_KEY": key.id, "SECRET": key.secret}
    store.boto().create_bucket(Bucket="recordings")
    exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102 - our own page
    rules = store.boto().get_bucket_lifecycle_configuration(Bucket="recordings")["Rules"]
    assert rules[0]["Expiration"] == {"Days": 7}

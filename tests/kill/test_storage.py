"""Buckets of a whole cloud: `kill -9` of the web role under puts loses nothing acknowledged."""

import hashlib
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from carcloud.app.engines import open_records
from carcloud.app.first_start import prepare
from carcloud.app.secret import sealing_secret
from carcloud.config import Settings
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.rundir import RunDir
from carcloud.services.tenancy.api import SYSTEM, Tenancy
from carcloud.supervisor import Supervisor
from tests.kill.victims import kill

pytestmark = [pytest.mark.soak, pytest.mark.timeout(300)]


@pytest.fixture
def cloud(tmp_path: Path):
    settings = Settings(
        {
            "data": str(tmp_path),
            "web.port": 0,
            "storage.port": 0,
            "gateway.gbt32960.port": 0,
            "gateway.jt808.port": 0,
            "gateway.mqtt.port": 0,
        }
    )
    prepare(settings)
    supervisor = Supervisor(settings)
    supervisor.start()
    yield supervisor
    supervisor.stop()


def key(run: RunDir) -> tuple[str, str]:
    """A new key for the S3 interface: (id, secret)."""

    settings = run.settings()
    records = open_records(settings)
    tenancy = Tenancy(records, secret=sealing_secret(settings))
    user = f"local@{DEFAULT_TENANT}"
    made = tenancy.keys.create(DEFAULT_TENANT, user, "buckets", by=SYSTEM)
    records.close()
    assert made.s3_secret is not None
    return made.key.id, made.s3_secret


def client(run: RunDir, access: tuple[str, str], patience_s: float = 60) -> Any:
    return boto3.client(
        "s3", endpoint_url=run.facts("web")["s3"], aws_access_key_id=access[0],
        aws_secret_access_key=access[1], region_name="us-east-1",
        config=Config(
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 1},
            read_timeout=patience_s,
        ),
    )  # fmt: skip


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def replaced(cloud: Supervisor, before: int) -> bool:
    """Whether another web process than `before` serves."""
    cloud.tend()
    now = cloud.pids()["web"]
    return now != before and cloud.run.ready("web", now)


def test_killed_web_roles_lose_nothing_and_show_nothing_half(cloud: Supervisor) -> None:
    run, access = cloud.run, key(cloud.run)
    client(run, access).create_bucket(Bucket="kept")
    acked: dict[str, str] = {}
    stop = threading.Event()
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)
    dice = random.Random(seed)

    def put(worker: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            data = os.urandom(200_000 + 1000 * worker)
            name = f"{worker}/{number % 5}"  # most puts replace what was there
            try:
                s3 = client(run, access, patience_s=10)
                s3.put_object(Bucket="kept", Key=f"new/{worker}/{number}", Body=data)
                acked[f"new/{worker}/{number}"] = hashlib.sha256(data).hexdigest()
                s3.put_object(Bucket="kept", Key=name, Body=data)
            except (BotoCoreError, ClientError, KeyError):
                time.sleep(0.2)

    workers = [threading.Thread(target=put, args=(n,)) for n in range(4)]
    for worker in workers:
        worker.start()
    try:
        for _ in range(3):
            kept = len(acked)
            until(lambda: len(acked) >= kept + 4)  # noqa: B023 - puts are on their way
            time.sleep(dice.uniform(0.5, 2.5))
            before = cloud.pids()["web"]
            assert kill(cloud, "web")
            until(lambda: replaced(cloud, before))  # noqa: B023
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    s3 = client(run, access)
    for name, digest in acked.items():
        data = s3.get_object(Bucket="kept", Key=name)["Body"].read()
        assert hashlib.sha256(data).hexdigest() == digest, name
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket="kept"):
        for entry in page["Contents"]:  # each is whole: its ETag is the MD5 of what it holds
            data = s3.get_object(Bucket="kept", Key=entry["Key"])["Body"].read()
            assert hashlib.md5(data).hexdigest() == entry["ETag"].strip('"')  # noqa: S324


def test_a_key_of_the_cloud_works_is_counted_and_can_be_revoked(cloud: Supervisor) -> None:
    run, access = cloud.run, key(cloud.run)
    s3 = client(run, access)
    s3.create_bucket(Bucket="mine")
    s3.put_object(Bucket="mine", Key="k", Body=b"x" * 1000)
    assert len(s3.get_object(Bucket="mine", Key="k")["Body"].read()) == 1000
    headers = {"authorization": f"Bearer {run.local_token()}"}
    with httpx.Client(base_url=run.facts("web")["url"], headers=headers) as http:
        until(lambda: 'operation="PutObject"' in http.get("/metrics").text)
    with pytest.raises(ClientError, match="404"):
        s3.head_bucket(Bucket="another")

    records = open_records(run.settings())
    tenancy = Tenancy(records)
    tenancy.keys.revoke(DEFAULT_TENANT, access[0], by=SYSTEM)

    def refused() -> bool:
        try:
            s3.list_buckets()
        except ClientError as error:
            return error.response["Error"]["Code"] == "InvalidAccessKeyId"
        return False

    def noted() -> bool:
        denied = [entry for entry in tenancy.trail.page(DEFAULT_TENANT).items if entry.denied]
        return ("buckets:read", "another") in [(entry.action, entry.subject) for entry in denied]

    until(refused)  # a key is known for a moment longer
    until(noted)  # behind the answer
    made = [entry.action for entry in tenancy.trail.page(DEFAULT_TENANT).items]
    assert "bucket.create" in made
    records.close()

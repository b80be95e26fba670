"""Objects in buckets as inputs and outputs of jobs: those of the job's own project."""

from pathlib import Path
from typing import Annotated, Protocol

import msgspec

from carcloud.model.ids import Tenant
from carcloud.model.limits import OverLimit
from carcloud.ports.errors import NotFound
from carcloud.services.compute.errors import JobFailed
from carcloud.services.storage.api import Bucket, NoBucket, ObjectFacts, Storage, StorageRefusal

READ, WRITE = "objects:read", "objects:write"
OF_PROJECT = frozenset({READ, WRITE})  # needed in the project of the job alone
_PIECE = 1 << 20  # bytes

BucketName = Annotated[str, msgspec.Meta(min_length=3, max_length=63)]


class Into(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bucket of the job's project that gets the files too, each as `<prefix><name>`."""

    bucket: BucketName
    prefix: Annotated[str, msgspec.Meta(max_length=500)] = ""


def too_much(what: str, size: int, left: int) -> JobFailed:
    """The inputs of a job are larger than what it may have on disk."""
    detail = f"{what} has {size} bytes, {left} are left for inputs (compute.script_disk_mb)"
    return JobFailed(detail, limit="disk_mb", again=False)


class Objects(Protocol):
    """The objects that a job may have in its hand."""

    def fetch(self, bucket: str, key: str, path: Path, most: int) -> int:
        """Copy an object into a file; returns its bytes. Raises `JobFailed`."""

    def put(self, bucket: str, key: str, content: bytes | Path, media: str) -> None:
        """Make this the object of a key; done again it is the same. Raises `JobFailed`."""


class ProjectObjects:
    """Objects in the buckets of one project."""

    def __init__(self, storage: Storage, tenant: Tenant, project: str) -> None:
        self._storage = storage
        self._tenant = tenant
        self._project = project

    def fetch(self, bucket: str, key: str, path: Path, most: int) -> int:
        """See `Objects.fetch`."""
        held = self._bucket(bucket)
        try:
            info = self._storage.objects.find(held, key)
            if info.size > most:
                raise too_much(f"{bucket}/{key}", info.size, most)
            with path.open("wb") as out:
                for piece in self._storage.objects.read(held, info):
                    out.write(piece)
        except (StorageRefusal, NotFound) as error:
            raise JobFailed(f"{bucket}/{key}: {error}", again=False) from error
        return info.size

    def put(self, bucket: str, key: str, content: bytes | Path, media: str) -> None:
        """See `Objects.put`."""
        held = self._bucket(bucket)
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        body = self._storage.objects.body(held)
        try:
            self._storage.check_room(self._tenant, size)
            if isinstance(content, bytes):
                body.write(content)
            else:
                with content.open("rb") as data:
                    while piece := data.read(_PIECE):
                        body.write(piece)
            facts = ObjectFacts({"content-type": media})
            self._storage.objects.put(held, key, body.finish(), facts)
        except OverLimit as error:
            raise JobFailed(f"{bucket}/{key}: {error}", limit=error.limit, again=False) from error
        except StorageRefusal as error:
            body.abort()
            raise JobFailed(f"{bucket}/{key}: {error}", again=False) from error
        except BaseException:
            body.abort()
            raise

    def _bucket(self, name: str) -> Bucket:
        try:
            found = self._storage.buckets.find(self._tenant, name)
        except NoBucket:
            found = None
        if found is None or found.project != self._project:
            detail = f"the project {self._project!r} has no bucket {name!r}"
            raise JobFailed(detail, again=False)
        return found

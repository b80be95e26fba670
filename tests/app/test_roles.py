"""What the processes of roles load."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("role", "without"),
    [("jobs", "numba litestar"), ("web", "numba"), ("gateway", "numba litestar duckdb")],
)
def test_a_role_loads_no_library_that_its_work_does_not_need(role: str, without: str) -> None:
    """The compiler of decoders and the web framework take a second and tens of MB each."""
    code = (
        f"import sys; from carcloud import lean; lean.role(); import carcloud.app.{role};"
        f"print(sorted(set('{without}'.split()) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

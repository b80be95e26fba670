"""Runs the script inside its sandbox, and tells how it failed. The standard library alone."""

import json
import os
import runpy
import sys
import traceback


def main(descriptor: int) -> None:
    """Run /sandbox/script.py as the main program."""
    os.environ["CARCLOUD_JOB_MESSAGES"] = str(descriptor)
    sys.argv = ["script.py"]
    sys.path[0] = "/job"
    try:
        runpy.run_path("/sandbox/script.py", run_name="__main__")
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - it is told, and ends the process
        own = error.__traceback__
        while own is not None and own.tb_frame.f_code.co_filename != "/sandbox/script.py":
            own = own.tb_next
        traceback.print_exception(type(error), error, own or error.__traceback__)
        sys.stderr.flush()
        _tell(descriptor, error)
        os._exit(1)


def _tell(descriptor: int, error: BaseException) -> None:
    told = {
        "type": type(error).__name__,
        "text": str(error)[:1000],
        "errno": getattr(error, "errno", None),
        "file": str(getattr(error, "filename", None) or ""),
    }
    os.write(descriptor, json.dumps({"failed": told}).encode() + b"\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))

"""The demo's cars with agents: one small process of their own, started and told by the demo."""

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from carcloud.demo.can_log import converted, simulated
from carcloud.demo.registry import CarModel

_SIMULATED_LOGS = 4  # that the cars share
_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """Cars with agents: how many, what they replay, and how often they report.

    `log` with its `model` is a real one; without it the demo simulates some.
    """

    cars: int = 100
    report_s: float = 5.0
    losses_per_hour: float = 0.0
    seed: int = 1
    log: Path | None = None
    model: CarModel | None = None


@dataclass(slots=True)
class Told:
    """What the process of the agents told last."""

    counters: Mapping[str, int] = field(default_factory=dict)

    def __getitem__(self, name: str) -> int:
        return self.counters.get(name, 0)


class Agents:
    """The process, and what it tells."""

    def __init__(self, options: AgentOptions, folder: Path) -> None:
        self._options = options
        self._folder = folder
        self.told = Told()
        self.cars = tuple(f"demo-car-{number:04d}" for number in range(1, options.cars + 1))
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    @property
    def pid(self) -> int | None:
        """Of the process; None before it is started."""
        return None if self._process is None else self._process.pid

    def prepare(self) -> None:
        """Make the logs; raises `CannotReplay`."""
        self._folder.mkdir(mode=0o700)
        options = self._options
        if options.log is None:
            simulated(self._folder, min(_SIMULATED_LOGS, options.cars), options.seed)
        else:
            converted(options.log, self._folder / "given.log")

    def start(self, host: str, port: int, tokens: Mapping[str, str]) -> None:
        """Start the process; `tokens` by car."""
        cars = []
        for car in self.cars:
            folder = self._folder / car
            folder.mkdir()
            token_file = folder / "token"
            token_file.touch(0o600)
            token_file.write_text(tokens[car])
            cars.append({"vehicle": car, "folder": str(folder), "token_file": str(token_file)})
        plan = {
            "host": host, "port": port, "cars": cars,
            "logs": sorted(str(file) for file in self._folder.glob("*.log")),
            "report_ms": round(self._options.report_s * 1000),
            "losses_per_hour": self._options.losses_per_hour, "seed": self._options.seed,
            "acknowledged": str(self._folder / "acknowledged"),
        }  # fmt: skip
        file = self._folder / "plan.json"
        file.write_text(json.dumps(plan))
        with (self._folder / "log").open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "carcloud.demo.agents_child", str(file)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,  # Ctrl-C is for the demo; it ends when its input does
            )
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def _listen(self) -> None:
        assert self._process is not None  # noqa: S101 - started
        assert self._process.stdout is not None  # noqa: S101 - a pipe
        for line in self._process.stdout:
            self.told = Told(json.loads(line))

    def finish(self) -> npt.NDArray[np.int64]:
        """Let them send what is left; returns number of the car and time in us of each report
        that the cloud has acknowledged, shape (n, 2). Raises `OSError` where the process failed.
        """
        process = self._process
        assert process is not None  # noqa: S101 - started
        assert process.stdin is not None  # noqa: S101 - a pipe
        process.stdin.close()
        try:
            code = process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if self._reader is not None:
            self._reader.join(5)
        if code:
            told = (self._folder / "log").read_text("utf-8", "replace").strip()
            raise OSError(f"the agents ended with code {code}: {told[-300:]}")
        return np.fromfile(self._folder / "acknowledged", np.int64).reshape(-1, 2)

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def summary(told: Told) -> dict[str, Any]:
    """For the report."""
    return {
        "can_frames": told["frames"],
        "campaign_triggers": told["triggers"],
        "campaign_messages": told["collected"],
    }

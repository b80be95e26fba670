"""Commands from the cloud: checked, carried out one after the other, answered.

    {"id": "7f…", "name": "track", "arguments": {"interval_s": 1, "duration_s": 60},
     "expires_ms": 1900000000000, "model": "truck-7"}

A command is written down before it is acknowledged, and again before it is carried out, so that it
is done once, also where it comes twice or the agent is restarted in between. Its result stays there
until the cloud has it. Reason codes are those of AWS IoT FleetWise; from 0x10000 on our own.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from carcloud.agent.library import write_safely
from carcloud.agent.settings import Argument, Hook
from carcloud.agent.vocabulary import FORWARD, RUN, SET_SIGNAL, VOCABULARY
from carcloud.codecs.campaign.document import parse_json
from carcloud.codecs.campaign.fields import DocumentError, Fields

log = logging.getLogger(__name__)

NOT_PARKED = 0x1
MODEL_OUT_OF_SYNC = 0x2
NOT_PARSABLE = 0x4
NO_DISPATCHER = 0x5
TYPE_MISMATCH = 0x7
NOT_SUPPORTED = 0x8
BUSY = 0x9
ACCESS_DENIED = 0xB
OUT_OF_RANGE = 0xC
INTERNAL_ERROR = 0xD
UNAVAILABLE = 0xE
WRITE_FAILED = 0xF
EXPIRED_IN_QUEUE = 0x12
NO_RESPONSE = 0x13
EXPIRED_ON_RECEIPT = 0x10000
INTERRUPTED = 0x10001

QUEUE = 100
REMEMBERED = 200
_OUTPUT = 64 << 10  # bytes of a hook's answer


@dataclass(frozen=True, slots=True)
class Command:
    """One command; `expires_us` is UTC, None = never."""

    id: str
    name: str
    arguments: Mapping[str, Any]
    expires_us: int | None
    model: str | None


class Refused(Exception):
    """A command is not carried out: `state`, reason code and text."""

    def __init__(self, state: str, code: int, reason: str) -> None:
        super().__init__(reason)
        self.state = state
        self.code = code


BuiltIn = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
Answer = Callable[[str, Mapping[str, Any], Callable[[], None]], None]
"""(id of the command, result, what to call when the cloud has it)"""


@dataclass(slots=True)
class _Entry:
    """What is known of a command: `result` None = it waits, or it is `begun`."""

    command: dict[str, Any] | None
    begun: bool = False
    result: dict[str, Any] | None = None
    told: bool = False


def parse_command(payload: bytes) -> Command:
    """Read a command; raises `DocumentError`."""
    fields = Fields(parse_json(payload))
    arguments = fields.take("arguments", {})
    if not isinstance(arguments, Mapping):
        raise DocumentError("arguments", "expected an object")
    expires = fields.number("expires_ms", None)
    identity = fields.text("id", 100)
    if any(each in identity for each in "/+#\0"):
        raise DocumentError("id", "cannot have / + # in it")
    return Command(
        id=identity,
        name=fields.text("name", 100),
        arguments=arguments,
        expires_us=None if expires is None else round(expires * 1000),
        model=fields.text("model", 100, None),
    )


class Orders:
    """The queue of commands. `answer(id, result, told)` is called for every step of one.

    A command of the vocabulary is carried out by what is built in, else by the hook of its name;
    `run` calls any other hook, `set-signal` the one that writes the actuator. `moves()` tells
    what says that the vehicle moves: some commands are refused then.
    """

    def __init__(
        self,
        file: Path,
        built_in: Mapping[str, BuiltIn],
        hooks: tuple[Hook, ...],
        allowed: tuple[str, ...],
        answer: Answer,
        clock: Callable[[], int],
        model: Callable[[], str | None],
        skew_us: int = 0,
        moves: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._file = file
        self._built_in = built_in
        self._hooks = {each.name: each for each in hooks if each.path is None}
        self._writers = {each.path: each for each in hooks if each.path is not None}
        self._allowed = frozenset(allowed)
        self._answer = answer
        self._clock = clock
        self._model = model
        self._skew_us = skew_us
        self._moves = moves
        self._queue: asyncio.Queue[Command] = asyncio.Queue(QUEUE)
        self._entries: dict[str, _Entry] = {}
        self._take_up()

    def _take_up(self) -> None:
        """What an earlier run left: commands wait again, one that had begun has failed."""
        try:
            found = json.loads(self._file.read_text("utf-8"))
            self._entries = {str(name): _Entry(**row) for name, row in found.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            self._entries = {}
        for name, entry in self._entries.items():
            if entry.result is not None:
                continue
            try:
                if not entry.begun:
                    self._queue.put_nowait(Command(**(entry.command or {})))
                    continue
            except (TypeError, asyncio.QueueFull):
                log.warning("the command %s cannot be taken up again", name)
            entry.result = self._stamped(_result("failed", INTERRUPTED, "the agent restarted"))

    def _save(self) -> None:
        over = len(self._entries) - REMEMBERED
        ended = [name for name, each in self._entries.items() if each.result is not None]
        ended.sort(key=lambda name: not self._entries[name].told)  # what the cloud has goes first
        for name in ended[: max(over, 0)]:
            del self._entries[name]
        kept = {name: asdict(entry) for name, entry in self._entries.items()}
        write_safely(self._file, json.dumps(kept))

    def _save_if_possible(self) -> None:
        """Where it fails, a result may be told twice after a restart."""
        try:
            self._save()
        except OSError as error:
            log.warning("commands cannot be kept: %s", error)

    def tell_again(self) -> None:
        """Answer with each result that the cloud has not acknowledged."""
        for name, entry in list(self._entries.items()):
            if entry.result is not None and not entry.told:
                self._tell(name, entry)

    def _tell(self, name: str, entry: _Entry) -> None:
        def told() -> None:
            if not entry.told:
                entry.told = True
                self._save_if_possible()

        if entry.result is not None:
            self._answer(name, entry.result, told)

    def receive(self, payload: bytes) -> None:
        """Take a command from the cloud, or say why not; it is on disk when this returns."""
        try:
            command = parse_command(payload)
        except DocumentError as error:
            name = _id_of(payload)
            log.warning("a command that cannot be read: %s", error)
            if name is not None and name not in self._entries:
                self._end(name, _result("refused", NOT_PARSABLE, str(error)))
            return
        known = self._entries.get(command.id)
        if known is not None:
            self._tell(command.id, known)  # it came twice; nothing to tell where it is under way
            return
        try:
            self._check(command)
            if self._queue.full():
                raise Refused("refused", BUSY, f"{QUEUE} commands are waiting")
        except Refused as error:
            self._end(command.id, _result(error.state, error.code, str(error)))
            return
        self._entries[command.id] = _Entry(asdict(command))
        try:
            self._save()
        except OSError as error:
            self._end(command.id, _not_kept("refused", error))
            return
        self._queue.put_nowait(command)
        self._answer(command.id, self._stamped(_result("received", 0, "")), lambda: None)

    def _stamped(self, result: Mapping[str, Any]) -> dict[str, Any]:
        return {**result, "time": self._clock() / 1000}

    def _end(self, name: str, result: dict[str, Any]) -> None:
        entry = self._entries[name] = _Entry(None, result=self._stamped(result))
        self._save_if_possible()
        self._tell(name, entry)

    def _expired(self, command: Command) -> bool:
        expires = command.expires_us
        return expires is not None and expires + self._skew_us <= self._clock()

    def _check(self, command: Command) -> None:
        if self._expired(command):
            raise Refused("timed_out", EXPIRED_ON_RECEIPT, "expired before it came")
        if command.model is not None and command.model != self._model():
            raise Refused("refused", MODEL_OUT_OF_SYNC, f"the model is {self._model()}")
        row = VOCABULARY.get(command.name)
        if row is None:
            raise Refused("refused", NOT_SUPPORTED, f"there is no command {command.name}")
        _check_arguments(command.arguments, row.arguments)
        if command.name == SET_SIGNAL:
            self._check_write(command.arguments)
        elif command.name == RUN:
            self._check_run(command.arguments)
        elif command.name not in self._built_in and command.name not in self._hooks:
            raise Refused("refused", NOT_SUPPORTED, f"no hook here does {command.name}")
        elif command.name != FORWARD:  # whoever takes campaigns gives what they have collected
            self._check_allowed(command.name)
        self._check_parked(command)

    def _check_allowed(self, name: str, part: str | None = None) -> None:
        if name not in self._allowed and f"{name}:{part}" not in self._allowed:
            told = name if part is None else f"{name}:{part}"
            raise Refused("refused", ACCESS_DENIED, f"{told} is not allowed here")

    def _check_parked(self, command: Command) -> None:
        if VOCABULARY[command.name].parked and (reason := self._moves()) is not None:
            raise Refused("refused", NOT_PARKED, f"{command.name} needs it parked: {reason}")

    def _check_write(self, given: Mapping[str, Any]) -> None:
        path = given["path"]
        hook = self._writers.get(path)
        if hook is None:
            raise Refused("refused", NO_DISPATCHER, f"nothing writes {path!r:.160}")
        self._check_allowed(SET_SIGNAL, path)
        wanted = {"path": Argument("string"), "value": Argument("number"), **dict(hook.arguments)}
        _check_arguments(given, wanted)

    def _check_run(self, given: Mapping[str, Any]) -> None:
        name = given["hook"]
        hook = self._hooks.get(name)
        if hook is None or name in VOCABULARY:
            raise Refused("refused", NOT_SUPPORTED, f"there is no hook {name} to run")
        self._check_allowed(RUN, name)
        _check_arguments(given.get("arguments", {}), dict(hook.arguments))

    async def run(self) -> None:
        """Carry out one command after the other, for ever."""
        while True:
            command = await self._queue.get()
            if self._expired(command):
                self._end(
                    command.id, _result("timed_out", EXPIRED_IN_QUEUE, "expired in the queue")
                )
                continue
            self._entries[command.id].begun = True  # it is not begun a second time
            try:
                self._save()
            except OSError as error:
                self._end(command.id, _not_kept("failed", error))
                continue
            self._end(command.id, await self._carry_out(command))

    async def _carry_out(self, command: Command) -> dict[str, Any]:
        try:
            self._check(command)  # it may have driven off, or been set up otherwise since it came
            if command.name in self._built_in:
                answer = await self._built_in[command.name](command.arguments)
            else:
                answer = await run_hook(*self._hook_of(command))
        except Refused as error:
            return _result(error.state, error.code, str(error))
        except (OSError, ValueError) as error:
            return _result("failed", INTERNAL_ERROR, str(error))
        return _result("executed", 0, "") | ({"result": dict(answer)} if answer else {})

    def _hook_of(self, command: Command) -> tuple[Hook, Command]:
        """The hook of a command that was checked, and the command as the hook gets it."""
        given = command.arguments
        if command.name == SET_SIGNAL:
            return self._writers[given["path"]], command
        if command.name == RUN:
            inner = given.get("arguments", {})
            return self._hooks[given["hook"]], replace(command, name=given["hook"], arguments=inner)
        return self._hooks[command.name], command


def _result(state: str, code: int, reason: str) -> dict[str, Any]:
    return {"state": state, "code": code, "reason": reason}


def _not_kept(state: str, error: OSError) -> dict[str, Any]:
    """A command that is not on disk is not carried out: it might be carried out twice."""
    return _result(state, UNAVAILABLE, f"it cannot be kept: {error.strerror}")


def _id_of(payload: bytes) -> str | None:
    try:
        name = json.loads(payload)["id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    good = isinstance(name, str) and 0 < len(name) <= 100 and not set(name) & set("/+#\0")
    return name if good else None


def _check_arguments(given: Mapping[str, Any], wanted: Mapping[str, Argument]) -> None:
    for name in given.keys() - wanted.keys():
        raise Refused("refused", TYPE_MISMATCH, f"there is no argument {name}")
    for name, what in wanted.items():
        value: Any = given.get(name)
        if name not in given and not what.needed:
            continue
        if not _is(value, what.type) or name not in given:
            raise Refused("refused", TYPE_MISMATCH, f"{name} wants a value of type {what.type}")
        if what.choices and value not in what.choices:
            choices = ", ".join(what.choices)
            raise Refused("refused", OUT_OF_RANGE, f"{name} is none of {choices}")
        _check_bounds(name, len(value) if isinstance(value, str | list) else value, what)


def _check_bounds(name: str, size: Any, what: Argument) -> None:
    low, high = what.minimum, what.maximum
    if (low is not None and size < low) or (high is not None and size > high):
        raise Refused("refused", OUT_OF_RANGE, f"{name} is {size}, outside {low} to {high}")


_PLAIN = {"boolean": bool, "string": str, "object": dict, "list": list, "any": object}


def _is(value: object, kind: str) -> bool:
    if kind in _PLAIN:
        return isinstance(value, _PLAIN[kind])
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and (kind == "number" or isinstance(value, int))


async def run_hook(hook: Hook, command: Command) -> Mapping[str, Any]:
    """Run an executable of the vehicle's maker; raises `Refused` when it fails or takes too long.

    It gets {"id", "name", "arguments"} as JSON on its input, and may print a JSON object.
    """
    asked = {"id": command.id, "name": command.name, "arguments": dict(command.arguments)}
    process = await asyncio.create_subprocess_exec(
        *hook.run,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(hook.timeout_s):
            output, _ = await process.communicate(json.dumps(asked).encode())
    except TimeoutError as error:
        process.kill()
        await process.wait()
        raise Refused("failed", NO_RESPONSE, f"no answer within {hook.timeout_s:g} s") from error
    if process.returncode:
        code = WRITE_FAILED if hook.path else INTERNAL_ERROR
        raise Refused("failed", code, f"ended with code {process.returncode}")
    try:
        answer = json.loads(output[:_OUTPUT]) if output.strip() else {}
    except ValueError:
        answer = {}
    return answer if isinstance(answer, dict) else {}

"""Several logs as one: parts of a session, or buses logged side by side."""

from collections.abc import Callable, Iterator, Sequence

from carcloud.codecs.can.frames import CanFrames
from carcloud.codecs.can.merging import merge
from carcloud.engines.canlog_files.opening import LogFile


def joined(files: Sequence[LogFile], progress: Callable[[int], None]) -> Iterator[CanFrames]:
    """The frames of all files in order of time; those of one file as they are.

    progress: called with the bytes read of all files. Raises LogFileError, and ValueError where
    relative times meet dates.
    """
    done = [0] * len(files)

    def step(number: int) -> Callable[[int], None]:
        def told(read: int) -> None:
            done[number] = read
            progress(sum(done))

        return told

    return merge([file.blocks(step(number)) for number, file in enumerate(files)])

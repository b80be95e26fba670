"""The spool: order, torn tails, kill -9, bounds."""

import json
import random
import signal
import subprocess
import sys

from carcloud.agent.spool import Bounds, Spool, Stream


def everything(stream):
    """The records that are not acknowledged."""
    found, at = [], 0
    while (kept := stream.peek(at)) is not None:
        found.append(kept.payload)
        at = kept.number + 1
    return found


def test_records_come_back_in_order_and_what_is_acknowledged_goes(tmp_path):
    stream = Stream(tmp_path / "s", segment_bytes=200)
    payloads = [f"record {at}".encode() for at in range(100)]
    for at, payload in enumerate(payloads):
        assert stream.append(payload, at) == at
    assert everything(stream) == payloads
    for at in (1, 2, 0, 5):
        stream.acknowledge(at)
    assert stream.position == 3
    assert everything(stream) == [payloads[3], payloads[4], *payloads[6:]]
    stream.close()
    again = Stream(tmp_path / "s", segment_bytes=200)
    assert everything(again) == payloads[3:], "what came before its turn may come twice"
    for at in range(100):
        again.acknowledge(at)
    again.close()
    assert Stream(tmp_path / "s").waiting == 0
    assert len(list((tmp_path / "s").glob("*.seg"))) == 0


def test_numbers_go_on_after_everything_was_sent(tmp_path):
    stream = Stream(tmp_path / "s")
    stream.acknowledge(stream.append(b"a", 1))
    stream.close()
    again = Stream(tmp_path / "s")
    assert again.append(b"b", 2) == 1
    assert everything(again) == [b"b"]


def test_a_torn_tail_is_cut_off_at_every_byte(tmp_path):
    source = random.Random(5)
    payloads = [source.randbytes(source.randrange(1, 9)) for _ in range(4)]
    stream = Stream(tmp_path / "whole")
    for payload in payloads:
        stream.append(payload, 7)
    stream.sync()
    (file,) = (tmp_path / "whole").glob("*.seg")
    data = file.read_bytes()
    ends = [sum(16 + len(each) for each in payloads[:n]) for n in range(5)]
    for cut in range(len(data) + 1):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / file.name).write_bytes(data[:cut])
        torn = Stream(folder)
        whole = sum(end <= cut for end in ends) - 1
        assert everything(torn) == payloads[:whole]
        torn.append(b"next", 8)
        assert everything(torn) == [*payloads[:whole], b"next"]
        torn.close()


def test_a_damaged_record_ends_what_can_be_read_of_its_segment(tmp_path):
    stream = Stream(tmp_path / "s", segment_bytes=30)
    for at in range(4):
        stream.append(b"x" * 20, at)
    stream.sync()
    first = sorted((tmp_path / "s").glob("*.seg"))[1]
    data = bytearray(first.read_bytes())
    data[20] ^= 1
    first.write_bytes(data)
    again = Stream(tmp_path / "s", segment_bytes=30)
    assert again.damaged == 1
    assert len(everything(again)) == 3


def test_a_position_that_cannot_be_read_sends_everything_once_more(tmp_path):
    stream = Stream(tmp_path / "s")
    for at in range(3):
        stream.append(b"%d" % at, at)
    stream.acknowledge(0)
    stream.close()
    (tmp_path / "s" / "position").write_text("{")
    assert everything(Stream(tmp_path / "s")) == [b"0", b"1", b"2"]


def test_the_oldest_goes_when_the_spool_is_full_and_is_counted(tmp_path):
    spool = Spool(tmp_path, most_bytes=8192)
    for at in range(400):
        spool.append("a" if at % 2 else "b", b"x" * 84, at)
        assert spool.size <= 8192
    assert spool.dropped == 400 - spool.waiting
    assert 40 < spool.waiting <= 82
    numbers = [int(each.stem) for each in (tmp_path / "a").glob("*.seg")]
    assert min(numbers) > 150, "the oldest went, not the newest"


def test_a_partition_has_bounds_of_its_own(tmp_path):
    spool = Spool(tmp_path, most_bytes=1 << 20)
    spool.limit("small", Bounds(most_bytes=2000, keep_us=1000))
    for at in range(100):
        spool.append("small", b"x" * 84, at * 100)
        spool.append("large", b"x" * 84, at * 100)
    assert spool.streams["small"].size <= 2000
    assert spool.streams["large"].waiting == 100
    waiting = spool.streams["small"].waiting
    assert 0 < waiting < 100
    assert spool.sweep(at * 100 + 1_000_000) == waiting
    assert spool.dropped == 100
    assert spool.streams["small"].waiting == 0
    spool.remove("small")
    assert not (tmp_path / "small").exists()


FULL = """
import json, resource, sys
from pathlib import Path
from carcloud.agent.spool import Spool

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

spool = Spool(Path(sys.argv[1]), 1 << 20)
numbers = [spool.append("a", b"r%d" % at * 400, at) for at in range(3)]
limit(spool.size + 500)  # half of a record
numbers.append(spool.append("a", b"X" * 900, 3))  # the oldest goes, and makes room
limit(100)
numbers += [spool.append("a", b"Y" * 900, at) for at in (4, 5)]
limit(resource.RLIM_INFINITY)
numbers += [spool.append("a", b"Z%d" % at * 9, at) for at in (6, 7)]
stream = spool.streams["a"]
stream.acknowledge(3)
stream._recent.clear()
again = Spool(Path(sys.argv[1]), 1 << 20).streams["a"]
print(json.dumps({
    "numbers": numbers, "dropped": spool.dropped,
    "read": [stream.peek(at).payload[:2].decode() for at in (4, 5)],
    "again": [again._find(at).payload[:1].decode() for at in range(again.position, again.next)],
}))
"""


def test_a_record_that_cannot_be_written_is_lost_alone_and_counted(tmp_path):
    told = subprocess.check_output([sys.executable, "-c", FULL, tmp_path / "s"], text=True)
    assert json.loads(told) == {
        "numbers": [0, 1, 2, 3, None, None, 4, 5],
        "dropped": 3 + 1 + 2,  # the oldest segment twice, then the new ones
        "read": ["Z6", "Z7"],
        "again": ["Z", "Z"],
    }


WRITER = """
import sys
from pathlib import Path
from carcloud.agent.spool import Stream
stream = Stream(Path(sys.argv[1]), segment_bytes=5000)
at = stream.next
while True:
    stream.append(str(at).encode() * 20, at)
    stream.sync()
    print(at, flush=True)
    at += 1
"""


def test_kill_9_loses_nothing_that_was_kept(tmp_path):
    told = -1
    for _ in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, tmp_path / "s"], stdout=subprocess.PIPE, text=True
        )
        for _ in range(25):
            told = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        rest = writer.communicate()[0].split()
        told = int(rest[-1]) if rest else told
        stream = Stream(tmp_path / "s")
        kept = everything(stream)
        assert kept == [str(at).encode() * 20 for at in range(len(kept))]
        assert len(kept) > told
        stream.close()
    assert told >= 74

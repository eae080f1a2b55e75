"""One writer to a file."""

import subprocess
import sys

import pytest

from speechqa_plugin.scoring.lock import LockedError, locked

HOLD = """
import sys
from speechqa_plugin.scoring.lock import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "o"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_writer_is_refused_and_told_by_whom(tmp_path, holder):
    with pytest.raises(LockedError, match=f"o: process {holder.pid} on .* is writing to it"):
        with locked(tmp_path / "o"):
            pass
    holder.communicate("")
    with locked(tmp_path / "o"):
        pass
    assert not list(tmp_path.iterdir())


def test_what_a_killed_writer_leaves_locks_nothing(tmp_path, holder):
    holder.kill()
    holder.wait()
    assert (tmp_path / "o.lock").exists()
    with locked(tmp_path / "o"):
        pass
    assert not list(tmp_path.iterdir())

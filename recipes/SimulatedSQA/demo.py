#!/usr/bin/env python3
"""The whole way in a quarter of an hour on two CPU cores: ``make demo``.

The model in the package assesses five recordings: clean speech of a talker whom it never heard, and
what was done to it. Then another one is trained from scratch: a small corpus is simulated from
recorded speech, the compact model calibrated, compared on the test split (other talkers, other
noises) with the model before training, exported, and asked about a test clip. Every step is a
command of the recipe and is printed before it runs.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from five_recordings import RECORDINGS

RECIPE = Path(__file__).parent
OUTPUT = Path("results/demo")
SETTINGS = [
    str(RECIPE / "hparams/calibration_compact.yaml"),
    f"--output_folder={OUTPUT}",
    "--n_train=2400",
    "--n_valid=64",
    "--n_test=200",
    "--number_of_epochs=1",
]


def run(*command, **kwargs):
    """Print a command and run it; a failure ends the demo with the command's own error."""
    print("\n$ " + " ".join(command), flush=True)
    result = subprocess.run(command, **kwargs)
    if result.returncode:
        sys.exit(result.returncode)
    return result


def pick_clip(records):
    """The first test clip with noise in a part of it, whatever the model makes of it."""
    rows = [json.loads(line) for line in records.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        for artifact in row["reference"]["artifacts"]:
            whole = artifact["end_s"] - artifact["start_s"] > 0.9 * row["duration_s"]
            if artifact["kind"] == "noise" and not whole:
                return row
    return rows[0]


def main():
    """Run the demo in the current folder."""
    start = time.monotonic()
    python = sys.executable
    speechqa = str(Path(python).with_name("speechqa"))
    recordings = OUTPUT / "recordings"
    run(python, str(RECIPE / "five_recordings.py"), "data", str(recordings))
    run(speechqa, "assess", *(str(recordings / f"{name}.wav") for name in RECORDINGS))

    print("\nNow a model of its own, from random weights:")
    run(python, str(RECIPE / "train.py"), *SETTINGS)
    print("\nThe model before training, for comparison:")
    untrained = ["--checkpoint=none", "--evaluation_forms=[scores]", "--skip_prep=True"]
    run(python, str(RECIPE / "evaluate.py"), *SETTINGS, *untrained)

    row = pick_clip(OUTPUT / "evaluation/best/reasoned/records.jsonl")
    clip = f"data/simulated/clips/test/{row['id']}.wav"
    command = [speechqa, "assess", clip, "--model", str(OUTPUT / "exported")]
    run(*command)
    print("What the simulation did to it:")
    print(json.dumps(row["reference"], indent=2, ensure_ascii=False))
    answer = run(*command, "--json", stdout=subprocess.PIPE, text=True).stdout
    file = OUTPUT / "assessment.json"
    file.write_text(answer, encoding="utf-8")
    print(f"\nThe assessment as JSON: {file}")
    print(f"Listen to the clip: {clip}")
    print(f"The demo took {(time.monotonic() - start) / 60:.1f} minutes.")


if __name__ == "__main__":
    main()

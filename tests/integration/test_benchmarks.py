"""The benchmarks run, in their smallest form; what they measure is no test's business."""

import re

import pytest
import recipe


@pytest.mark.slow
def test_grpo_step():
    options = "--models compact --clips_s 1 --groups 2 --prompts 2 --text_tokens 9 --new_tokens 4"
    file = recipe.ROOT / "benchmarks/grpo_step.py"
    result = recipe.run(file, *options.split(), "--repeats=1")
    assert result.returncode == 0, result.stderr
    row = result.stdout.splitlines()[-1]
    assert row.startswith("| compact |")
    ratios = [float(x) for x in re.findall(r"= ([\d.]+)", row)]
    assert len(ratios) == 4 and all(ratio > 0 for ratio in ratios)

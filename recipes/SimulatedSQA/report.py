#!/usr/bin/env python3
"""Tables and figures of evaluated systems, from the folders that evaluate.py writes.

> python report.py results/calibration_compact/1234/evaluation/best/reasoned \
>     results/grpo_compact/1234/evaluation/best/reasoned \
>     --names calibrated GRPO --figures results/figures

Prints the paper's table with these systems below its rows, their scores, and their artifacts by
kind; ``--figures`` gets ``<name>.svg``, how often each score is written and is right (needs the
extra ``report``).
"""

import argparse
from pathlib import Path

from speechqa_plugin.evaluation.records import read_summary
from speechqa_plugin.report.figures import score_histograms
from speechqa_plugin.report.tables import kind_table, paper_table, score_table
from speechqa_plugin.schema import load_taxonomy


def main(arguments=None):
    """Print the tables of the command line's folders."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", help="each with a metrics.json")
    parser.add_argument("--names", nargs="+", help="of the systems; else their folders")
    parser.add_argument("--judge", default="", help="the reward that judged the long text")
    parser.add_argument("--figures", type=Path, help="a folder for the figures")
    parser.add_argument("--taxonomy", default="qualispeech", help="a name or a YAML file")
    args = parser.parse_args(arguments)
    names = args.names or args.folders
    if len(set(names)) != len(args.folders):
        parser.error(f"{len(args.folders)} folders and the names {names}: name each its own")
    summaries = {n: read_summary(f) for n, f in zip(names, args.folders, strict=True)}
    print(paper_table(summaries, load_taxonomy(args.taxonomy), args.judge))
    print("\n" + score_table(summaries))
    for name, summary in summaries.items():
        if "kinds" in summary:
            print(f"\n{name}\n\n{kind_table(summary)}")
        if args.figures:
            args.figures.mkdir(parents=True, exist_ok=True)
            score_histograms(summary, args.figures / f"{name.replace('/', '-')}.svg")


if __name__ == "__main__":
    main()

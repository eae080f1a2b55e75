#!/usr/bin/env python3
"""Compare two systems on the same clips, from the records that evaluate.py writes.

> python compare.py A/records.jsonl B/records.jsonl
> python compare.py --a A/*/records.jsonl --b B/*/records.jsonl      # several seeds of either
> python compare.py --a A/*/records.jsonl                            # one system over its seeds

Prints the mean PCC, the overall score's, the parse rate and the artifacts' F1 and IoU (means over
the kinds) of either and the difference A - B, each with a 95 % bootstrap interval in which both
systems are drawn on the same clips. Several seeds are paired by position and drawn as well; all on
the same clips.
"""

import argparse

from speechqa_plugin.evaluation.records import read_records
from speechqa_plugin.report.comparison import compare, comparison_table
from speechqa_plugin.schema import load_taxonomy


def main(arguments=None):
    """Print the table of the command line's files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pair", nargs="*", metavar="RECORDS", help="one run of A and one of B")
    parser.add_argument("--a", nargs="+", default=[], metavar="RECORDS", help="runs of A")
    parser.add_argument("--b", nargs="+", default=[], metavar="RECORDS", help="runs of B")
    parser.add_argument("--taxonomy", default="qualispeech", help="a name or a YAML file")
    args = parser.parse_args(arguments)
    if args.pair and (args.a or args.b or len(args.pair) != 2):
        parser.error("give two files, or the runs by --a and --b")
    if not args.pair and not args.a:
        parser.error("no records: give two files, or runs by --a")
    files = ([args.pair[0]], [args.pair[1]]) if args.pair else (args.a, args.b)
    taxonomy = load_taxonomy(args.taxonomy)
    ours, theirs = ([read_records(f, taxonomy) for f in side] for side in files)
    for name, side in zip("AB", files, strict=True):
        for file in side:
            print(f"{name}: {file}")
    print(f"\n{len(ours[0])} clips\n")
    print(comparison_table(compare(ours, theirs)))


if __name__ == "__main__":
    main()

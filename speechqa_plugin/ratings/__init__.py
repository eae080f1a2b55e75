"""Listening tests: from a table of ratings to utterances with references, in splits.

`table` reads a CSV file, `dimensions` makes a taxonomy of its columns, `clips` hears each file once
and puts its scores beside it, `splits` draws training, validation and test.
"""

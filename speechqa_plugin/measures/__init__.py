"""Measures of speech quality that others made, and a pass that applies them to many clips.

`instruments` has the measures, each a function of a clean reference and a clip; `measuring` the
resumable pass; `agreement` how well each agrees with listeners.
"""

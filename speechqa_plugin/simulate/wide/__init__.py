"""A wider simulation: what real systems do to speech, in any order, with stems to measure it by.

`degradations` has what `speechqa_plugin.simulate.degradations` lacks or has less of (its families
are `network`, `coders`, `vocoders` and `suppression`), `clip` draws and applies them in any order
and keeps the voice with its distortions alone and with its noises alone, `worker` makes a corpus's
clips, `labels` turns measures of clips and stems into scores. ``wide.yaml`` holds its numbers.
"""

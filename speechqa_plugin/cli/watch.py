"""``speechqa watch``: raw samples on standard input, a line for each window as it comes."""

from __future__ import annotations

import json
import os
import sys
from typing import Annotated

import typer

from speechqa_plugin.cli.app import OWN_MODEL, BaseModel, Device, Model, app, load


@app.command()
def watch(
    model: Model = OWN_MODEL,
    rate: Annotated[int, typer.Option(min=1000, help="Samples a second.")] = 16000,
    channels: Annotated[int, typer.Option(min=1, help="Channels beside each other.")] = 1,
    base_model: BaseModel = None,
    device: Device = "cpu",
):
    """Assess what comes on standard input: raw 16-bit samples (s16le), one JSON line a window.

    Ends where the input ends, or with Ctrl-C.
    """
    try:
        answerer = load(model, base_model, device).answerer
        from speechqa_plugin.streams import pcm_windows

        llm = answerer.audio_llm
        window = int(llm.max_audio_s * llm.sample_rate_hz)
        windows = pcm_windows(sys.stdin.buffer, rate, channels, llm.sample_rate_hz, window)
        for first, held in windows:
            if held.length >= llm.min_audio_s * llm.sample_rate_hz:  # else the last bit of it
                print(json.dumps(_line(answerer, first, held)), flush=True)
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:  # whoever read the lines has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _line(answerer, first: int, held) -> dict:
    """What was said of a window that starts at this sample; its times are the stream's."""
    from speechqa_plugin.heard import Heard

    (heard,) = answerer.hear([held.wav])
    ((_, length_s, answer),) = heard.parts
    start_s = first / answerer.audio_llm.sample_rate_hz
    placed = Heard(((start_s, start_s + length_s, answer),), held.warnings)
    failure = {"failure": heard.failure} if heard.failure else {}
    times = {"start_s": start_s, "end_s": start_s + length_s}
    return {**times, **placed.assessment.to_dict(), **failure}

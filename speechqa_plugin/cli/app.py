"""What the commands share: the app, options, and loading a model late."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Say how good speech recordings sound, what is wrong with them, and when.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Model = Annotated[
    str,
    typer.Option(
        help="Folder of an exported model. It runs code: use folders of people you trust.",
        envvar="SPEECHQA_MODEL",
    ),
]
BaseModel = Annotated[
    str | None, typer.Option(help="Base of the model, if it is no longer where it was.")
]
Device = Annotated[str, typer.Option(help="Where to run: cpu, cuda, cuda:1, ...")]
BatchSize = Annotated[int, typer.Option(min=1, help="Files heard at once.")]


def check_model(model: str) -> None:
    """Refuse what is no folder of an exported model."""
    if not (Path(model) / "hyperparams.yaml").is_file():
        refuse(f"{model}: no hyperparams.yaml in it; --model needs the folder of an exported model")


def load(model: str, base_model: str | None, device: str):
    """Import torch only now: help and refusals come at once."""
    check_model(model)
    import torch

    from speechqa_plugin.inference import SpeechQualityAssessor

    try:
        # With its index: SpeechBrain parses "cuda:0" only.
        found = torch.zeros(1, device=device).device
    except (RuntimeError, AssertionError) as err:
        refuse(f"--device {device}: {str(err).splitlines()[0]}")
    try:
        return SpeechQualityAssessor.from_hparams(
            source=model,
            run_opts={"device": str(found)},
            overrides={"base_model": base_model} if base_model else {},
        )
    except (OSError, ValueError) as err:
        refuse(f"{model}: {err}")


def refuse(message: str):
    """Say in one sentence what is wrong, and end with exit code 2."""
    print(f"speechqa: {message}", file=sys.stderr)
    raise SystemExit(2)

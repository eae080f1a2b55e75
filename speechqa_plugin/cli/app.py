"""What the commands share: the app, options, and loading a model late."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
import yaml

from speechqa_plugin import EMBEDDED, __version__

app = typer.Typer(
    help="Say how good speech recordings sound, what is wrong with them, and when.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCES",
        help="Audio files, folders (searched below), quoted globs, lists (JSON lines with "
        "path, SpeechBrain CSV or JSON, Kaldi wav.scp), or - for paths on standard input.",
    ),
]
Model = Annotated[
    str,
    typer.Option(
        help="Folder of another exported model. It runs code: use folders of people you trust.",
        envvar="SPEECHQA_MODEL",
        show_default="the one in the package",
    ),
]
OWN_MODEL = str(EMBEDDED)
"""Default of `Model`."""
BaseModel = Annotated[
    str | None, typer.Option(help="Base of the model, if it is no longer where it was.")
]
_DEVICES = "cpu, cuda, cuda:0, mps"
Device = Annotated[str, typer.Option(help=f"Where to run: {_DEVICES}, ...")]
BatchSize = Annotated[int, typer.Option(min=1, help="Files heard at once.")]


def _print_version(asked: bool) -> None:
    if asked:
        print(f"speechqa {__version__}")
        raise typer.Exit


@app.callback()
def _speechqa(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show it and exit."),
    ] = False,
):
    pass


def check_model(model: str) -> None:
    """Refuse what is no folder of an exported model, before anything heavy is imported."""
    file = Path(model) / "hyperparams.yaml"
    if not file.is_file():
        below = sorted(f.parent for f in Path(model).glob("*/hyperparams.yaml"))
        hint = f" (there is one in {below[0]})" if below else ""
        refuse(
            f"{model}: no hyperparams.yaml in it{hint}; --model needs the folder of an exported "
            "model"
        )
    try:
        node = yaml.compose(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        mark = getattr(err, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        refuse(f"{file}{where}: is no YAML ({getattr(err, 'problem', err)}); export the model anew")
    keys = {k.value for k, _ in node.value} if isinstance(node, yaml.MappingNode) else set()
    missing = sorted({"answerer", "modules"} - keys)
    if missing:
        refuse(f"{file}: has no {' and no '.join(missing)}; export the model anew")


def load(model: str, base_model: str | None, device: str):
    """Import torch only now, and only if the model needs it: help and refusals come at once."""
    check_model(model)
    if device == "cpu" and base_model is None:
        from speechqa_plugin.light import load_light

        if (assessor := load_light(model)) is not None:
            return assessor
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"  # torchrun: a device for each process
    # Processes that score don't talk to each other; SpeechBrain would let the first load alone.
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK", "WORLD_SIZE"):
        os.environ.pop(name, None)
    import torch

    from speechqa_plugin import SpeechQualityAssessor

    try:
        # With its index: SpeechBrain parses "cuda:0" only.
        found = torch.zeros(1, device=device).device
    except (RuntimeError, AssertionError) as err:
        # For a name that is none it lists all that torch was ever written for.
        named = not isinstance(err, NotImplementedError) and not str(err).startswith("Expected one")
        why = str(err).splitlines()[0].split(". ")[0] if named else "torch finds no such device"
        refuse(f"--device {device}: {why}; need one of {_DEVICES}")
    try:
        return SpeechQualityAssessor.from_hparams(
            source=model,
            run_opts={"device": str(found)},
            overrides={"base_model": base_model} if base_model else {},
        )
    except (OSError, ValueError) as err:
        refuse(f"{model}: {err}")
    except Exception as err:  # hyperparameters name any code, which raises what it likes
        first = (str(err).splitlines() or [""])[0]
        refuse(f"{model}: can't be loaded ({type(err).__name__}: {first}); export the model anew")


@contextmanager
def sound_weights(model: str):
    """Say in one sentence that a model computes no numbers."""
    try:
        yield
    except FloatingPointError as err:
        refuse(f"{model}: {err}")


def refuse(message: str):
    """Say in one sentence what is wrong, and end with exit code 2."""
    print(f"speechqa: {message}", file=sys.stderr)
    raise SystemExit(2)

"""Recorded speech and noise that need no account and no root: Debian packages, or a TTS.

* Speech: four talkers who recorded telephone prompts in a studio
  (``asterisk-core-sounds-{en,fr,it,ru}-g722``, CC BY-SA 3.0 and CC BY 3.0).
* Noise: music on hold (``asterisk-moh-opsound-wav``, CC BY-SA), ambiences, loops
  and guitars (``sonic-pi-samples``, mostly CC0).
* Where apt is missing or fails: one voice of the neural text-to-speech package
  ``hibari-tts`` (Apache-2.0), and no recorded noise.

Each is fetched and decoded once; the packages' copyright files stay beside it.
"""

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import soundfile
from tqdm import tqdm

from speechqa_plugin.simulate.signals import SAMPLE_RATE_HZ, SimulationError

logger = logging.getLogger(__name__)

SPEECH_PACKAGES = {
    f"asterisk-core-sounds-{language}-g722": language for language in ("en", "fr", "it", "ru")
}
OTHER_SPEECH_PACKAGES = {"asterisk-core-sounds-es-g722": "es"}
"""A talker whom no split has."""

NOISE_PACKAGES = ("asterisk-moh-opsound-wav", "sonic-pi-samples")

TEST_SPEAKER = "ru"
"""Training hears the other three, among them the only man."""

G722_CEILING = 4.5
"""The prompts went through G.722 at 64 kbit/s: near transparent, not quite."""

TTS_CEILING = 4.7
"""Distill-MOS gives this voice 4.67."""

TTS_REQUIREMENT = (
    "hibari-tts==0.2.1 "
    "--hash=sha256:49f2abbbe451c988e7448b5afa08c8a56410535ebb855c0e7d174275df5ca1f3"
)
ONNX_REQUIREMENT = "onnxruntime==1.32.0"
"""The release that runs it, since another may make other audio; its files depend on the machine."""

_SHORTEST_PROMPT_S, _SHORTEST_NOISE_S = 1.0, 1.5
_NOT_SPEECH = ("silence", "beep", "tone", "monkeys", "weasels")
_TONAL = ("ambi_choir", "ambi_piano")
_HEARD_TWICE = ("loop_amen_full",)  # the break of loop_amen, which could train while it tests
_AMBIENCE, _MUSIC = ("ambi_", "vinyl_hiss"), ("loop_", "guit_")


def fetch_speech(data_folder):
    """Fetch and decode clean speech, once: recorded prompts, or else a TTS voice.

    Arguments
    ---------
    data_folder : Path

    Returns
    -------
    folder : Path
        With a folder for each speaker.
    ceiling : float
        Quality of this speech on the five-point scale.

    Raises
    ------
    SimulationError
        If neither can be had.
    """
    recorded, spoken = data_folder / "speech", data_folder / "speech_tts"
    if not recorded.is_dir() and not spoken.is_dir():
        try:
            make_folder(recorded, lambda new: _decode_prompts(data_folder, new, SPEECH_PACKAGES))
        except (OSError, subprocess.CalledProcessError) as err:
            logger.warning("recorded speech cannot be fetched: %s", _reason(err))
            try:
                make_folder(spoken, lambda folder: _synthesise(data_folder, folder))
            except (OSError, subprocess.CalledProcessError) as second:
                raise SimulationError(
                    f"no speech: apt-get fails ({_reason(err)}) and so does pip "
                    f"({_reason(second)}); give speech_folders of your own"
                ) from second
    if recorded.is_dir():
        return recorded, G722_CEILING
    logger.warning("%s: speech is one synthetic voice (hibari-tts), not recordings", spoken)
    return spoken, TTS_CEILING


def fetch_other_talkers(data_folder):
    """Fetch and decode clean speech of talkers whom `fetch_speech` does not have, once.

    Arguments
    ---------
    data_folder : Path

    Returns
    -------
    dict from str to (Path, float)
        ``spanish``, recorded, and ``synthetic``: folder and ceiling as of `fetch_speech`.

    Raises
    ------
    SimulationError
        If one cannot be had.
    """
    recorded, spoken = data_folder / "speech_other", data_folder / "speech_tts"
    try:
        if not recorded.is_dir():
            make_folder(
                recorded, lambda new: _decode_prompts(data_folder, new, OTHER_SPEECH_PACKAGES)
            )
        if not spoken.is_dir():
            make_folder(spoken, lambda folder: _synthesise(data_folder, folder))
    except (OSError, subprocess.CalledProcessError) as err:
        raise SimulationError(
            f"no speech of other talkers: {_reason(err)}; both apt-get and pip must work"
        ) from err
    return {"spanish": (recorded, G722_CEILING), "synthetic": (spoken, TTS_CEILING)}


def fetch_noises(data_folder):
    """Fetch recorded noises, once; without them noise is synthetic, and babble.

    Arguments
    ---------
    data_folder : Path

    Returns
    -------
    list of Path
        One folder, or none where apt is missing or fails.
    """
    folder = data_folder / "noise"
    if not folder.is_dir():
        try:
            make_folder(folder, lambda target: _sort_noises(data_folder, target))
        except (OSError, subprocess.CalledProcessError) as err:
            logger.warning("recorded noise cannot be fetched, so it is left out: %s", _reason(err))
            return []
    return [folder]


def fetch_package(data_folder, package):
    """Download and unpack a Debian package, without root, once.

    Package lists are kept in the data folder as well, so neither root nor an
    ``apt-get update`` by somebody else is needed.

    Arguments
    ---------
    data_folder : Path
    package : str

    Returns
    -------
    Path
        Folder with the package's tree.

    Raises
    ------
    FileNotFoundError
        If there is no apt-get or dpkg.
    subprocess.CalledProcessError
        If one of them fails.
    """
    folder = data_folder / "packages" / package
    if not folder.is_dir():
        make_folder(folder, lambda target: _download(data_folder, package, target))
    return folder


def decode_g722(path):
    """Decode a raw G.722 file.

    Arguments
    ---------
    path : Path

    Returns
    -------
    numpy.ndarray of float32, shape (n,)
        At 16 kHz; no samples for an empty file.
    """
    with av.open(str(path), format="g722") as container:
        frames = [frame.to_ndarray().ravel() for frame in container.decode(audio=0)]
    return np.concatenate([np.zeros(0, np.int16), *frames]).astype(np.float32) / 32768


def make_folder(folder, fill):
    """Fill a folder, all of it or nothing."""
    temporary = folder.with_name(f"{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        fill(temporary)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _download(data_folder, package, target):
    state, cache = ((data_folder / "apt" / name).resolve() for name in ("state", "cache"))
    apt = ["apt-get", "-o", f"Dir::State={state}", "-o", f"Dir::Cache={cache}"]
    if not (state / "lists").is_dir():
        make_folder(
            state,
            lambda new: _run(["apt-get", "-o", f"Dir::State={new}", *apt[3:], "update"], cache),
        )
    _run([*apt, "download", package], target)
    (deb,) = target.glob("*.deb")
    _run(["dpkg", "-x", deb.name, "."], target)
    deb.unlink()


def _run(command, folder):
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)


def _reason(err):
    if isinstance(err, subprocess.CalledProcessError):
        lines = (err.stderr or "").strip().splitlines()
        return f"{err.cmd[0]} says: {lines[-1] if lines else f'exit status {err.returncode}'}"
    return str(err)


def _decode_prompts(data_folder, target, packages):
    for package, language in packages.items():
        tree = fetch_package(data_folder, package)
        keep_copyright(tree, target)
        (target / language).mkdir()
        for path in tqdm(sorted(tree.rglob("*.g722")), f"decode {package}", unit="file"):
            if any(word in str(path.relative_to(tree)) for word in _NOT_SPEECH):
                continue
            audio = decode_g722(path)
            if len(audio) >= _SHORTEST_PROMPT_S * SAMPLE_RATE_HZ:
                name = f"{path.parent.name}-{path.stem}.flac"
                soundfile.write(target / language / name, audio, SAMPLE_RATE_HZ)


def _sort_noises(data_folder, target):
    for package in NOISE_PACKAGES:
        tree = fetch_package(data_folder, package)
        keep_copyright(tree, target)
        for path in sorted(p for p in tree.rglob("*") if p.suffix in (".wav", ".flac")):
            if path.stem in _HEARD_TWICE or soundfile.info(path).duration < _SHORTEST_NOISE_S:
                continue
            if package.startswith("asterisk") or path.name.startswith(_MUSIC + _TONAL):
                type_ = "music"
            elif path.name.startswith(_AMBIENCE):
                type_ = "ambience"
            else:
                continue
            (target / type_).mkdir(exist_ok=True)
            shutil.copy(path, target / type_)


def keep_copyright(tree, target):
    for path in sorted(tree.glob("usr/share/doc/*/copyright")):
        shutil.copy(path, target / f"{path.parent.name}.copyright.txt")


def _synthesise(data_folder, target):
    package = data_folder / "packages" / "hibari-tts"
    if not package.is_dir():
        make_folder(package, _install_tts)
    (target / "hibari").mkdir()
    places = [os.environ.get("PYTHONPATH"), str(package)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}
    script = Path(__file__).with_name("synthesise.py")
    subprocess.run([sys.executable, script, target / "hibari"], env=environment, check=True)


def _install_tts(target):
    requirements = target / "requirements.txt"
    requirements.write_text(TTS_REQUIREMENT + "\n", encoding="ascii")
    # Without dependencies: a second numpy in the target would shadow the installed one.
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", "."]
    _run([*pip, "-r", requirements.name], target)
    _run([*pip, ONNX_REQUIREMENT], target)

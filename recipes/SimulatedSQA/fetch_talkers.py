"""More recorded talkers from Debian packages, without root: 63 in all.

========================== ======================================================== ================
package                    talkers                                                  licence
========================== ======================================================== ================
asterisk-core-sounds-*     four, studio prompts: see `fetch_audio`                  CC BY(-SA) 3.0
fillets-ng-data-cs, -nl    two each, acted dialogue                                 GPL-2+
hedgewars-data             thirteen, short exclamations                             GPL-2 and others
klettres-data              one a language: letters and syllables                    GPL-2+
ktuberling-data            one a language: words                                    GPL-2+
========================== ======================================================== ================

The audio stays in the data folder beside the packages' copyright files; none of it is passed on.
Whether a model trained on it may be is for whoever passes it on to read there.
"""

import re
import shutil
import subprocess
from pathlib import Path

from fetch_audio import TEST_SPEAKER, fetch_package, fetch_speech, keep_copyright, make_folder

from speechqa_plugin.simulate.signals import SimulationError
from speechqa_plugin.simulate.splits import find_speech

TALKERS = {
    "fillets-ng-data-cs": re.compile(r"/sound/.*/(cs)/[^/]*?-?([mv])-[^/]*\.ogg$"),
    "fillets-ng-data-nl": re.compile(r"/sound/.*/(nl)/[^/]*?-?([mv])-[^/]*\.ogg$"),
    "hedgewars-data": re.compile(r"/Sounds/voices/(?!Robot|Singer)([^/]+)/[^/]*\.ogg$"),
    "klettres-data": re.compile(r"/klettres/([^/]+)/(?:alpha|syllab)/[^/]*\.(?:ogg|wav|mp3)$"),
    "ktuberling-data": re.compile(r"/ktuberling/sounds/([^/@]+)[^/]*/[^/]*\.(?:ogg|wav|mp3)$"),
}
"""What is speech in each package; the groups tell the talker. In fillets-ng, ``m`` and ``v`` are
the small and the big fish. ``sr@latin`` and the like are the same recordings under other names."""

TEST_TALKERS = (
    *("fillets-ng-nl-m", "fillets-ng-nl-v"),
    *("hedgewars-Mobster", "hedgewars-Default_ru", "hedgewars-Surfer"),
    *("klettres-hu", "klettres-it", "klettres-tn"),
    *("ktuberling-it", "ktuberling-ga", "ktuberling-wa"),
)
"""Heard by the test split alone, beside `fetch_audio.TEST_SPEAKER`. No language that klettres and
ktuberling both have is in test and in training: one person may have recorded it for both."""


def fetch_talkers(data_folder):
    """Fetch and sort the talkers, once.

    Arguments
    ---------
    data_folder : Path

    Returns
    -------
    speech : dict from str to list of str
        Paths by the talker's folder, see `splits.find_speech`.
    test_speakers : list of str
        Those of them that the test split alone hears.

    Raises
    ------
    SimulationError
        If a package cannot be had, or holds none of the speech that is looked for.
    """
    folder = data_folder / "speech_wide"
    if not folder.is_dir():
        try:
            make_folder(folder, lambda target: _sort_talkers(data_folder, target))
        except (OSError, subprocess.CalledProcessError) as err:
            reason = getattr(err, "stderr", None) or err
            raise SimulationError(
                f"no wide speech: {str(reason).strip()}; apt-get must work, or give speech_folders"
            ) from err
    prompts, _ = fetch_speech(data_folder)
    speech = find_speech([prompts, folder])
    held_out = {TEST_SPEAKER, *TEST_TALKERS}
    return speech, [name for name in speech if Path(name).name in held_out]


def talker_of(package, path):
    """Name of who speaks in a file of a package; None where that is not known to be speech.

    Arguments
    ---------
    package : str
        Of `TALKERS`.
    path : str
        Of the file, from the package's root, with a leading slash.

    Example
    -------
    >>> talker_of("fillets-ng-data-nl", "/usr/share/games/fillets-ng/sound/reef/nl/uts-m-tvor.ogg")
    'fillets-ng-nl-m'
    >>> talker_of("hedgewars-data", "/usr/share/games/hedgewars/Data/Sounds/voices/Robot/Bye.ogg")
    """
    found = TALKERS[package].search(path)
    if found is None:
        return None
    name = package.removesuffix("-cs").removesuffix("-nl").removesuffix("-data")
    return "-".join((name, *found.groups()))


def _sort_talkers(data_folder, target):
    for package in TALKERS:
        tree = fetch_package(data_folder, package)
        keep_copyright(tree, target)
        found = 0
        for path in sorted(p for p in tree.rglob("*") if p.is_file()):
            inside = f"/{path.relative_to(tree).as_posix()}"
            talker = talker_of(package, inside)
            if talker is not None:
                (target / talker).mkdir(exist_ok=True)
                # The folder's name too: the same file name stands for other words elsewhere.
                name = f"{path.parent.parent.name}-{path.parent.name}-{path.name}"
                shutil.copy(path, target / talker / name)
                found += 1
        if not found:
            raise SimulationError(f"{package}: holds no file of speech where others did")

"""SpeechBrain finds our interface under its own namespace."""

import subprocess
import sys

import pytest


def run_python(code, cwd):
    result = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.slow
def test_import_from_speechbrain(tmp_path):
    code = """
import speechbrain, speechqa_plugin
from speechbrain.inference.quality import SpeechQualityAssessor
import speechbrain.inference.quality as alias
import speechqa_plugin.inference as ours
from speechbrain.inference.interfaces import Pretrained
assert alias is ours and SpeechQualityAssessor is ours.SpeechQualityAssessor
assert issubclass(SpeechQualityAssessor, Pretrained)
try:
    import speechbrain.inference.qualities
except ModuleNotFoundError as err:
    print(err.name)  # other names are still not found
"""
    assert run_python(code, tmp_path) == "speechbrain.inference.qualities"


@pytest.mark.slow
def test_the_short_import_loads_torch_only_when_it_is_asked_for(tmp_path):
    code = """
import sys, speechqa_plugin
assert {"SpeechQualityAssessor", "register", "__version__"} <= set(dir(speechqa_plugin))
assert not hasattr(speechqa_plugin, "SpeechQualityAssesor")
print("torch" in sys.modules)
from speechqa_plugin import SpeechQualityAssessor
import speechqa_plugin.inference as ours
assert SpeechQualityAssessor is ours.SpeechQualityAssessor
print("torch" in sys.modules)
"""
    assert run_python(code, tmp_path).split() == ["False", "True"]


def test_registering_twice_changes_nothing(tmp_path):
    code = """
import sys, speechqa_plugin
before = list(sys.meta_path)
speechqa_plugin.register()
print(sys.meta_path == before, "torch" in sys.modules, "speechbrain" in sys.modules)
"""
    assert run_python(code, tmp_path) == "True False False"


@pytest.mark.slow
def test_a_module_of_that_name_in_speechbrain_comes_first(tmp_path):
    (tmp_path / "quality.py").write_text("SpeechQualityAssessor = 'theirs'")
    code = """
import speechqa_plugin, speechbrain.inference
speechbrain.inference.__path__.append(".")
from speechbrain.inference.quality import SpeechQualityAssessor
print(SpeechQualityAssessor)
"""
    assert run_python(code, tmp_path) == "theirs"

"""The instructions a model is given: the only place where their wording lives.

The format is shown by rendering an example answer, so that a change of the answers' syntax shows
up here by itself. The paper (arXiv 2603.10175) does not publish its prompts; these are ours.
"""

from __future__ import annotations

from speechqa_plugin.answers import AnswerForm, render_answer
from speechqa_plugin.schema import SCORE_MAX, SCORE_MIN, Artifact, Assessment, Taxonomy

_TASK = {
    AnswerForm.SCORES: "Rate the quality of this speech from {low} (worst) to {high} (best).",
    AnswerForm.REASONED: (
        "Describe the quality of this speech, rate it from {low} (worst) to {high} (best) "
        "and list its artifacts with their times."
    ),
}
_MAGNITUDE = "{d.name} goes from {low} to {high}, {middle} is best."
_MIDDLE = (SCORE_MIN + SCORE_MAX) // 2


def build_prompt(taxonomy: Taxonomy, form: AnswerForm = AnswerForm.REASONED) -> str:
    """Instruction that asks for an answer of one form.

    Arguments
    ---------
    taxonomy : Taxonomy
        The dimensions to rate.
    form : AnswerForm
        Which form to ask for.

    Returns
    -------
    str
        Task, meaning of the dimensions and an example of the format. The example scores every
        dimension with the middle of the scale, so it tells nothing about the clip.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> print(build_prompt(load_taxonomy("nisqa"), "scores").splitlines()[0])
    Rate the quality of this speech from 1 (worst) to 5 (best).
    """
    form = AnswerForm(form)
    lines = [_TASK[form].format(low=SCORE_MIN, high=SCORE_MAX)]
    lines += [
        _MAGNITUDE.format(d=d, low=d.anchors[0], high=d.anchors[-1], middle=_MIDDLE)
        for d in taxonomy.dimensions
        if d.magnitude
    ]
    lines += ["Format:", render_answer(_example(taxonomy), form)]
    return "\n".join(lines)


def _example(taxonomy: Taxonomy) -> Assessment:
    artifacts = tuple(Artifact(k.name, k.types[0], 0.0, 1.0) for k in taxonomy.kinds[:1])
    return Assessment(taxonomy, dict.fromkeys(taxonomy.names, _MIDDLE), artifacts, "...")

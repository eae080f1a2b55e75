"""A second teacher in calibration: which artifact sounds in each audio token.

An answer gives the audio encoder a few digits and lines of a whole clip to learn from. Where the
labels say when each artifact sounds and how strongly, as a simulator's do, a linear layer on the
projected audio tokens can be asked at every moment. Its loss is added to the language model's; the
layer itself is needed by nobody afterwards and stays with the training checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from speechqa_plugin.schema import Assessment, Taxonomy

PRESENT = 0.05
"""About how often a type sounds at a moment; what the untrained layer says of each."""


class DenseHead(nn.Module):
    """Says of each audio token how strongly each type of artifact sounds in it.

    Untrained it says the same of every token.

    Arguments
    ---------
    width : int
        H, of the language model's embeddings.
    taxonomy : Taxonomy
        Its types of all kinds are asked for.

    Raises
    ------
    ValueError
        If the taxonomy has none.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> head = DenseHead(8, load_taxonomy("qualispeech"))
    >>> head(torch.zeros(3, 8)).shape
    torch.Size([3, 21])
    """

    def __init__(self, width: int, taxonomy: Taxonomy):
        super().__init__()
        self.types = artifact_types(taxonomy)
        if not self.types:
            raise ValueError(
                f"taxonomy {taxonomy.name!r} names no types of artifacts to ask for; set "
                "dense_weight to 0"
            )
        self.linear = nn.Linear(width, len(self.types))
        nn.init.zeros_(self.linear.weight)
        nn.init.constant_(self.linear.bias, math.log(PRESENT / (1 - PRESENT)))

    def forward(self, audio: Tensor) -> Tensor:
        """[K, Y] logits of the Y types in K audio tokens [K, H]."""
        return self.linear(audio.to(self.linear.weight.dtype))


def artifact_types(taxonomy: Taxonomy) -> list[tuple[str, str]]:
    """Kind and type, in the taxonomy's order."""
    return [(kind.name, type_) for kind in taxonomy.kinds for type_ in kind.types]


def artifact_targets(
    reference: Assessment, types: Sequence[tuple[str, str]], n_tokens: int, token_s: float
) -> Tensor:
    """How strongly each type sounds in each audio token of a clip.

    Arguments
    ---------
    reference : Assessment
        Its artifacts; one without times sounds all the time, one without severity with 1, and a
        type that is not asked for is left out.
    types : sequence of (str, str)
        Y of them, from `artifact_types`.
    n_tokens : int
        T, the clip's audio tokens.
    token_s : float
        Time that one covers, in seconds.

    Returns
    -------
    Tensor
        [T, Y] in [0, 1]: severity times the share of the token's time that is covered; of
        several artifacts of a type the strongest.
    """
    targets = torch.zeros(n_tokens, len(types))
    starts = token_s * torch.arange(n_tokens)
    for artifact in reference.artifacts:
        if (artifact.kind, artifact.type) not in types:
            continue
        column = targets[:, types.index((artifact.kind, artifact.type))]
        start_s, end_s = artifact.interval or (0.0, math.inf)
        covered = (starts + token_s).clamp(max=end_s) - starts.clamp(min=start_s)
        share = (covered / token_s).clamp(0, 1)
        severity = 1.0 if artifact.severity is None else artifact.severity
        torch.maximum(column, severity * share, out=column)
    return targets


def dense_loss(logits: Tensor, targets: Sequence[Tensor]) -> Tensor:
    """Cross-entropy of each type by itself: summed over types, mean over a clip's audio tokens,
    then over clips.

    Arguments
    ---------
    logits : Tensor
        [K, Y], clip after clip.
    targets : sequence of Tensor
        [T_i, Y] of each clip; the T_i add up to K.

    Returns
    -------
    Tensor
        A scalar in nats.

    Example
    -------
    >>> dense_loss(torch.zeros(3, 2), [torch.ones(1, 2), torch.zeros(2, 2)]) / math.log(2)
    tensor(2.)
    """
    whole = torch.cat(list(targets)).to(logits.device)
    losses = binary_cross_entropy_with_logits(logits.float(), whole, reduction="none").sum(dim=1)
    clips = losses.split([len(clip) for clip in targets])
    return torch.stack([clip.mean() for clip in clips]).mean()

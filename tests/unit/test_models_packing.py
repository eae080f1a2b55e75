import torch
from hypothesis import given
from hypothesis import strategies as st

from speechqa_plugin.models.packing import PackedRows


@st.composite
def layouts(draw):
    """Prompts and completions of any lengths, completions that are empty included."""
    size, group, width, longest = (draw(st.integers(1, n)) for n in (3, 3, 4, 4))
    padding = draw(st.lists(st.integers(0, width - 1), min_size=size, max_size=size))
    lengths = draw(st.lists(st.integers(0, longest), min_size=size * group, max_size=size * group))
    prompt_mask = torch.arange(width) >= torch.tensor(padding)[:, None]
    return prompt_mask, torch.arange(longest) < torch.tensor(lengths)[:, None], group


def tokens_of(prompt_mask, completion_mask, group):
    """The slow way: for each row, what stands in its columns as (part, position)."""
    for b, prompt in enumerate(prompt_mask.tolist()):
        length = sum(prompt)
        row = [None] * (len(prompt) - length) + [("prompt", p) for p in range(length)]
        for g in range(group):
            fed = int(completion_mask[b * group + g].sum()) - 1
            row += [(g, length + t) for t in range(fed)]
        yield row


@given(layouts())
def test_every_column_is_where_the_drawing_says(layout):
    prompt_mask, completion_mask, group = layout
    rows = PackedRows.of(prompt_mask, completion_mask)
    for b, tokens in enumerate(tokens_of(*layout)):
        for query, token in enumerate(tokens):
            if token is None:
                continue
            assert rows.positions[b, query] == token[1]
            seen = rows.dense_mask[b, 0, query].nonzero().flatten().tolist()
            wanted = [
                key
                for key, other in enumerate(tokens[: query + 1])
                if other is not None and other[0] in ("prompt", token[0])
            ]
            assert seen == wanted
    assert rows.dense_mask.any(dim=-1).all()


@given(layouts())
def test_tokens_are_fed_where_their_successors_are_predicted(layout):
    prompt_mask, completion_mask, group = layout
    rows = PackedRows.of(prompt_mask, completion_mask)
    ids = torch.arange(1, completion_mask.numel() + 1).view(completion_mask.shape)
    width = prompt_mask.shape[1]
    columns = torch.nn.functional.pad(rows.pack(ids, pad_id=0), (width, 0))
    row, column = rows.predictors(completion_mask)
    completion, step = completion_mask.nonzero(as_tuple=True)
    assert torch.equal(row, completion // group)
    first = step == 0
    assert (column[first] == width - 1).all()
    fed = columns[row[~first], column[~first]]
    assert torch.equal(fed, ids[completion[~first], step[~first] - 1])


@given(layouts())
def test_slots_and_columns_are_inverse(layout):
    rows = PackedRows.of(*layout[:2])
    for slots, columns in zip(rows.slots.tolist(), rows.columns.tolist(), strict=True):
        assert all(columns[slot] == c for c, slot in enumerate(slots) if slot >= 0)

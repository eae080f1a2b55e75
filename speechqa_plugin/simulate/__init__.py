"""Clean speech + noise + rooms → degraded clips whose labels are exact.

`degradations` adds one degradation to a clip (its families are `noise`, `room`,
`voice`, `channel`, `codec` and `timing`), `scoring` turns what was added into
scores, `describe` into prose, `clip` does all three for one clip. `splits` tells
what each split may draw from, `corpus` makes its files and manifests.
"""

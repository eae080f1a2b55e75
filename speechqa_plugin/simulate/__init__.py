"""Clean speech + noise + rooms → degraded clips whose labels are exact.

`degradations` adds one degradation to a clip, `scoring` turns what was added
into scores, `describe` into prose, `clip` does all three for one clip and
`corpus` for three manifests from `sources`.
"""

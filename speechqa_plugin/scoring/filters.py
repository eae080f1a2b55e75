"""Conditions on scores: ``mos >= 3.5 and noise > 3``."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Collection, Mapping

_COMPARE = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_MEANT = {
    r"(?<![<>=!:])=(?!=)": "==",
    r"&+": "and",
    r"\|+": "or",
    r"!(?!=)": "not",
    r"\bAND\b": "and",
    r"\bOR\b": "or",
    r"\bNOT\b": "not",
}
"""How other languages write it, and we."""
_LONGEST = 1000
"""Characters; the parser's stack ends somewhere beyond."""

Values = Mapping[str, float]


class FilterError(ValueError):
    """A condition that can't be read; one sentence with what was found and what is needed."""


class Filter:
    """A condition that a file meets or does not.

    Comparisons (also chained) of names and numbers, joined by ``and``, ``or``, ``not`` and
    parentheses. It is read as Python, but nothing else is allowed and nothing is executed.

    Arguments
    ---------
    text : str
        The condition.

    Raises
    ------
    FilterError
        If it is anything else.

    Example
    -------
    >>> good = Filter("mos >= 3.5 and not 1 <= noise < 3")
    >>> good({"mos": 4.0, "noise": 3.0}), good({"mos": 4.0, "noise": 2.0})
    (True, False)
    """

    def __init__(self, text: str):
        self.text, self.names = text, set()
        try:
            if len(text) > _LONGEST:
                raise ValueError(f"longer than {_LONGEST} characters")
            tree = ast.parse(text.strip(), mode="eval")
            self._holds = self._condition(tree.body)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as err:
            reason = err.msg if isinstance(err, SyntaxError) else err
            meant = [
                (m[0], ours) for theirs, ours in _MEANT.items() if (m := re.search(theirs, text))
            ]
            if meant:
                reason = f"write {' and '.join(f'{ours!r} for {it!r}' for it, ours in meant)}"
            raise FilterError(
                f"--filter {text[:60]!r}: {reason}; need comparisons of scores and numbers like "
                "'mos >= 3.5 and noise > 3'"
            ) from err

    def __call__(self, values: Values) -> bool:
        """Whether these values, one for each name, meet it."""
        return self._holds(values)

    def check_names(self, known: Collection[str]) -> None:
        """Refuse names that nothing is known of.

        Raises
        ------
        FilterError
            If there are any; the message says what is known.
        """
        unknown = sorted(self.names - set(known))
        if unknown:
            overall = "; the overall one is mos" if "mos" in known else ""
            raise FilterError(
                f"--filter {self.text!r}: {', '.join(unknown)} is no score of this model; it has "
                f"{', '.join(known)}{overall}"
            )

    def _condition(self, node: ast.expr) -> Callable[[Values], bool]:
        if isinstance(node, ast.BoolOp):
            parts = [self._condition(v) for v in node.values]
            both = all if isinstance(node.op, ast.And) else any
            return lambda values: both(part(values) for part in parts)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            part = self._condition(node.operand)
            return lambda values: not part(values)
        if isinstance(node, ast.Compare) and all(type(op) in _COMPARE for op in node.ops):
            sides = [self._number(n) for n in (node.left, *node.comparators)]
            compare = [_COMPARE[type(op)] for op in node.ops]
            return lambda values: all(
                c(a(values), b(values)) for c, a, b in zip(compare, sides, sides[1:], strict=False)
            )
        raise ValueError(f"{ast.unparse(node)!r} is no comparison")

    def _number(self, node: ast.expr) -> Callable[[Values], float]:
        if isinstance(node, ast.Name):
            name = node.id
            self.names.add(name)
            return lambda values: values[name]
        minus = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)
        constant = node.operand if minus else node
        if isinstance(constant, ast.Constant) and type(constant.value) in (int, float):
            number = -constant.value if minus else constant.value
            return lambda values: number
        raise ValueError(f"{ast.unparse(node)!r} is neither a score nor a number")

"""How the objective fell, as a drawing with the same in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from audiosep.io.naming import display

__all__ = ["loss_curve"]

_WIDTH, _HEIGHT = 640, 180
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 12, 12, 32
_MOST_POINTS = 400


def loss_curve(losses: Sequence[float], stop: Any, method: Any) -> str:
    """Draw the objective over the iterations as SVG.

    Parameters
    ----------
    losses : sequence of float
        Before the first iteration and after each.
    stop : str or None
        Why it ended, as the record tells it.
    method : str
        What was fitted.

    Returns
    -------
    str
        A figure; a sentence where nothing was fitted.
    """
    if len(losses) < 2:
        return f"<p>The method {escape(display(str(method)))} fits nothing step by step.</p>"
    step = math.ceil(len(losses) / _MOST_POINTS)
    numbers = [*range(0, len(losses) - 1, step), len(losses) - 1]
    logarithmic = min(losses) > 0
    values = [math.log10(losses[n]) if logarithmic else losses[n] for n in numbers]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    inner = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    points = " ".join(
        f"{_LEFT + inner[0] * n / numbers[-1]:.1f},{_TOP + inner[1] * (high - v) / span:.1f}"
        for n, v in zip(numbers, values, strict=True)
    )
    why = (
        f"; it ended because {escape(display(str(stop)))}" if isinstance(stop, str) and stop else ""
    )
    scale = " (drawn on a logarithmic scale)" if logarithmic else ""
    words = (
        f"The objective went from {_number(losses[0])} to {_number(losses[-1])} in "
        f"{len(losses) - 1} iterations{why}{scale}."
    )
    top, bottom = _number(max(losses)), _number(min(losses))
    base = _HEIGHT - _BOTTOM
    return (
        f'<figure><svg class="loss" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{words}">'
        f'<path class="axis" d="M{_LEFT} {_TOP}V{base}H{_WIDTH - _RIGHT}"/>'
        f'<text x="{_LEFT - 8}" y="{_TOP + 8}" text-anchor="end">{top}</text>'
        f'<text x="{_LEFT - 8}" y="{base}" text-anchor="end">{bottom}</text>'
        f'<text x="{_LEFT}" y="{_HEIGHT - 10}">0</text>'
        f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 10}" text-anchor="end">{numbers[-1]} '
        f"iterations</text>"
        f'<polyline class="curve" points="{points}"/></svg>'
        f"<figcaption>{words}</figcaption></figure>"
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e8 else f"{value:.4g}"

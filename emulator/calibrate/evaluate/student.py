"""Student's t without scipy, for those who ask a calibration and fit none."""

from __future__ import annotations


def t_quantile(dof: int) -> float:
    """Student's t at 97.5 %, by its expansion about the normal quantile (Abramowitz & Stegun 26.7.5): no scipy here.

    Exact for one and two degrees of freedom; from three on within 0.5 %.
    """
    if dof == 1:
        return 12.706204736
    if dof == 2:
        return 4.302652730
    z = 1.959963985
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / dof ** (k + 1) for k, term in enumerate(terms))

"""Numbers in, numbers out: what may be concluded from answers that were counted. Knows no cases, models or verdicts.

    rates        how sure one pass rate is                             promptreg.core.stats.rates, its names also here
    paired       two answers of each case: broken against fixed        promptreg.core.stats.paired
    resampling   graded answers and clusters: permutation, bootstrap   promptreg.core.stats.resampling
    skewed       lopsided means: prices, lengths, scores               promptreg.core.stats.skewed
    betting      conclusions that hold whenever one stops              promptreg.core.stats.betting
    power        how many cases it takes, before the first is asked    promptreg.core.stats.power
    families     several tests at once                                 promptreg.core.stats.families

Each method cites its source. All is pure Python, chance is a `random.Random` made inside from a seed, and a positive difference is
"worse".
"""

from __future__ import annotations

from promptreg.core.stats.rates import (
    CONFIDENCE,
    Interval,
    effective_size,
    pass_interval,
    quantile,
    t_quantile,
    wilson,
)

__all__ = ["CONFIDENCE", "Interval", "effective_size", "pass_interval", "quantile", "t_quantile", "wilson"]

"""Anytime-valid evidence that a share is larger than allowed.

A test of fixed size that is looked at again and again rolls back equal versions: looked at after each 200 requests, a
test at 5 % does so in a third of the canaries. An e-value may be looked at after each request. If the share is not
larger than allowed, it ever exceeds 1 / alpha with a probability of at most alpha (Ville's inequality).

The e-value is a likelihood ratio: a mixture of larger shares against the allowed one. The mixture is
Beta(1, 1 / share - 1), whose mean is the allowed share, cut off below that share. After Lindon, Sanden and Shirikian
(KDD 2022).
"""

import math
from collections.abc import Sequence

from scipy.special import betaincc, betaln, logsumexp


def log_e_value(hits: int, trials: int, share: float) -> float:
    """Logarithm of the e-value for `hits` of `trials` against the hypothesis that at most `share` of them are hits.

    Args:
        hits: for example errors of the new version.
        trials: for example errors of both versions.
        share: largest share of hits under the hypothesis, between 0 and 1.

    >>> log_e_value(0, 0, 0.1)
    0.0
    >>> math.exp(log_e_value(4, 4, 0.1)) > 20  # four errors in a row, all of a version with 10 % of the requests
    True
    """
    if trials == 0:
        return 0.0
    rest = (1 - share) / share
    tail = float(betaincc(1 + hits, rest + trials - hits, share))
    if tail == 0:
        return -math.inf
    mixture = betaln(1 + hits, rest + trials - hits) + math.log(tail)
    prior = betaln(1, rest) + math.log(float(betaincc(1, rest, share)))
    return float(mixture - prior - hits * math.log(share) - (trials - hits) * math.log1p(-share))


def log_mean_e_value(logarithms: Sequence[float]) -> float:
    """Logarithm of the mean of e-values, which is an e-value of the same hypothesis; 0 without any.

    >>> log_mean_e_value([0.0, 0.0])
    0.0
    """
    return float(logsumexp(logarithms) - math.log(len(logarithms))) if logarithms else 0.0


def log_limit(alpha: float, tests: int) -> float:
    """Logarithm of the e-value at which one of several tests rejects; together they err with at most `alpha`.

    >>> round(math.exp(log_limit(0.05, 3)))
    60
    """
    return math.log(tests / alpha)

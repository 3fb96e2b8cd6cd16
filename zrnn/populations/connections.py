"""How the groups of a trained network are connected, beside the reduced model.

Shapes: N units, G groups; matrices are [post, pre].
"""

from dataclasses import dataclass

import numpy as np

from zrnn.dynamics import reduced_model
from zrnn.populations.groups import SILENT, Populations


@dataclass(frozen=True)
class Connections:
    """A matrix (G, G) between the groups of these names; digits: the format of its values."""

    what: str
    names: list[str]
    post_pre: np.ndarray
    digits: str


def mean_weights(w_hh: np.ndarray, groups: list[np.ndarray]) -> np.ndarray:
    """Mean of W (N, N), [post, pre], within and between the groups -> (G, G), [post, pre]."""
    return np.array([[w_hh[np.ix_(i, j)].mean() for j in groups] for i in groups])


def total_inputs(w_hh: np.ndarray, groups: list[np.ndarray], rates: np.ndarray) -> np.ndarray:
    """Summed weight from group j to a unit of group i, each synapse as its sender fires -> (G, G).

        T_ij = mean over i of sum over j of W_ij rates_j / mean rate of group j

    so that T_ij times the mean rate of j is the current that j gives i: the reduced model's W_ij.
    With equal rates it is the mean weight times the size of j. rates (N,).
    """
    return np.array(
        [[(w_hh[np.ix_(i, j)] @ rates[j]).mean() / rates[j].mean() for j in groups] for i in groups]
    )


def matrices(w_hh: np.ndarray, found: Populations) -> list[Connections]:
    """Means, summed inputs, those of the parts, and the reduced model's weights.

    A mean weight grows as a group shrinks; the summed input does not, and is what the reduced
    model's W stands for. Its size still differs: a variable there is a group and a gain in one.
    """
    rates = found.reference.cycle.mean(axis=0)

    def of(members):
        return {name: own for name, own in members.items() if own.any() and name != SILENT}

    four = of(found.reference.groups)
    masks = list(four.values())
    total = total_inputs(w_hh, masks, rates)
    found_matrices = [
        Connections("mean weight x 1000", list(four), 1000 * mean_weights(w_hh, masks), ".1f"),
        Connections("total input weight", list(four), total, ".2f"),
    ]
    if found.parts:
        three = of({"all E": found.types["E"], **found.parts})
        total = total_inputs(w_hh, list(three.values()), rates)
        what = "total input weight, I split by shape"
        found_matrices.append(Connections(what, list(three), total, ".2f"))
    if len(found.types) > 1:
        reduced = ["tap-E", "tap-I", "inter-tap-I"]
        weights = np.array(reduced_model.W)
        found_matrices.append(Connections("reduced model's W", reduced, weights, ".2f"))
    return found_matrices

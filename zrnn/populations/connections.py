"""How strongly the groups of a trained network are connected.

Shapes: N units, G groups; matrices are [post, pre].
"""

import numpy as np

from zrnn.populations.groups import SILENT, Populations


def mean_weights(w_hh: np.ndarray, groups: list[np.ndarray]) -> np.ndarray:
    """Mean of W (N, N) within and between groups -> (G, G)."""
    return np.array([[w_hh[np.ix_(i, j)].mean() for j in groups] for i in groups])


def total_inputs(w_hh: np.ndarray, groups: list[np.ndarray], rates: np.ndarray) -> np.ndarray:
    """Summed weight from group j to a unit of group i, weighted by mean rates (N,) -> (G, G).

        T_ij = mean over i of sum over j of W_ij rates_j / mean rate of group j

    T_ij times the mean rate of group j is the current that j sends to i, as in the reduced model.
    With equal rates T_ij is the mean weight times the size of j, so it does not grow when a group
    is made smaller, as a mean weight may.
    """
    return np.array(
        [[(w_hh[np.ix_(i, j)] @ rates[j]).mean() / rates[j].mean() for j in groups] for i in groups]
    )


def between_groups(w_hh: np.ndarray, found: Populations) -> list[dict]:
    """Matrices (G, G) with their title and the names of their groups.

    Mean weights and total inputs of the groups; total inputs with I split by shape.
    """
    rates = found.reference.cycle.mean(axis=0)
    groups = {name: units for name, units in found.reference.groups.items() if units.any()}
    groups.pop(SILENT, None)
    names, masks = list(groups), list(groups.values())
    means, totals = 1000 * mean_weights(w_hh, masks), total_inputs(w_hh, masks, rates)
    matrices = [
        {"title": "mean weight x 1000", "groups": names, "weights": means},
        {"title": "total input weight", "groups": names, "weights": totals},
    ]
    if found.i_clusters:
        split = {"all E": found.types["E"], **found.i_clusters}
        totals = total_inputs(w_hh, list(split.values()), rates)
        title = "total input weight, I split by shape"
        matrices.append({"title": title, "groups": list(split), "weights": totals})
    return matrices

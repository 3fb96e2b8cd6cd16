"""How strongly the groups of a trained network are connected.

Shapes: N units, G groups; matrices are [post, pre].
"""

from dataclasses import dataclass

import numpy as np

from zrnn.populations.groups import SILENT, Groups, Populations


@dataclass(frozen=True)
class Connections:
    """A matrix of weights (G, G), [post, pre], between groups; digits: format of its values."""

    title: str
    groups: list[str]
    weights: np.ndarray
    digits: str = ".2f"


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


def between_groups(w_hh: np.ndarray, found: Populations) -> list[Connections]:
    """Mean weights and total inputs of the groups, and total inputs with I split by shape."""
    rates = found.reference.cycle.mean(axis=0)

    def with_units(groups: Groups):
        kept = {name: units for name, units in groups.items() if units.any() and name != SILENT}
        return list(kept), list(kept.values())

    names, masks = with_units(found.reference.groups)
    matrices = [
        Connections("mean weight x 1000", names, 1000 * mean_weights(w_hh, masks), ".1f"),
        Connections("total input weight", names, total_inputs(w_hh, masks, rates)),
    ]
    if found.i_clusters:
        names, masks = with_units({"all E": found.types["E"], **found.i_clusters})
        total, title = total_inputs(w_hh, masks, rates), "total input weight, I split by shape"
        matrices.append(Connections(title, names, total))
    return matrices

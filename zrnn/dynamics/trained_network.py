"""A trained network without noise as a dynamical system, and its equilibria against the cue.

    tau dx/dt = -x + W max(x, 0) + W_in (0, cue) + b,   z = W_out max(x, 0) + b_out

The network itself is the Euler map x -> x + dt dx/dt. Both have the same equilibria, but their
stability can differ. Between two kinks of max(x, 0) the flow is linear, so the eigenvalues along a
branch of equilibria are constant there and jump at kinks.

Shapes: N units. Networks are float64 on the CPU here (`in_double`).
"""

import copy

import numpy as np

from zrnn import simulate
from zrnn.dynamics import equilibria
from zrnn.dynamics.equilibria import Branch, Flow

# Newton's method starts from states along runs at constant cues.
START_CUES = 9  # evenly spaced inside the range
STATES_PER_CUE = 6
START_SECONDS = 1.0  # length of these runs, from rest


def in_double(model):
    """A copy of the network in float64 on the CPU."""
    return copy.deepcopy(model).cpu().double()


def network_flow(model) -> Flow:
    """The `Flow` of a float64 network, whose parameter p is the cue and whose output is z.

    Its scale makes a change of the currents by 1 (RMS) count as much as one of the cue.
    """
    weights = model.effective_w_hh(), model.w_ih[:, 1], model.b_hh, model.w_ho[0], model.b_ho[0]
    w, w_in, b, w_out, b_out = (part.detach().numpy() for part in weights)
    return Flow(
        lambda x, cue: (w @ np.maximum(x, 0) + w_in * cue + b - x) / model.tau,
        lambda x, cue: (w * (x > 0) - np.eye(len(x))) / model.tau,
        lambda x, cue: w_in / model.tau,
        output=lambda x: np.maximum(x, 0) @ w_out + b_out,
        scale=np.sqrt(len(w)),
    )


def find_branches(model, cues: tuple[float, float]) -> list[Branch]:
    """The branches of equilibria of a float64 network between two cues.

    Newton's method starts from the last states of runs at both cues, and from states along these
    and further runs between them.
    """
    every = max(round(START_SECONDS / model.dt / STATES_PER_CUE), 1)
    run_cues = np.array([*cues, *np.linspace(*cues, START_CUES + 2)[1:-1]])
    inputs = simulate.constant_cues(run_cues, every * STATES_PER_CUE)
    run = simulate.run(model, inputs, keep_states=True)
    starts = list(zip(run.end.numpy()[:2], cues, strict=True))
    for states, cue in zip(run.states, run_cues, strict=True):
        starts += [(x, cue) for x in states[::every]]
    return equilibria.find_branches(network_flow(model), starts, cues)

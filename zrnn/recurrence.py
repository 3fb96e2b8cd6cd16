"""The recurrence over a sequence, and its gradient in closed form.

    x_t = (1 - alpha) x_{t-1} + alpha (W r_{t-1} + W_in u_t + b) + sqrt(2 alpha) sigma_rec xi_t
    z_t = W_out r_t + b_out                  r = max(x, 0),   alpha = dt / tau,   xi ~ N(0, 1)

Everything is time-major here: inputs u (T, B, I), currents x (T + 1, B, N) from x_0 on, outputs z
(T, B, O), for B trials, T time steps, N units, I inputs (clicks, context cue), O outputs.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor


def advance(drive: Tensor, state: Tensor, w_hh: Tensor, alpha: float) -> Tensor:
    """One step of the recurrence, in place: the only place where it is written down.

    `drive` (B, N) holds alpha (W_in u_t + b) + noise and becomes x_t; `state` (B, N) is x_{t-1};
    `w_hh` (N, N) is the effective matrix W, [post, pre].
    """
    return drive.add_(state, alpha=1 - alpha).addmm_(state.relu(), w_hh.t(), alpha=alpha)


class Noise:
    """Recurrent noise: adds sqrt(2 alpha) sigma_rec xi to currents, in place.

    source: a generator from which xi is drawn, or xi itself, (T, B, N).
    share: (rank, n_ranks, n_trials) where processes share a batch of n_trials: noise is drawn for
    all of them, and every n_ranks-th trial's is taken, from `rank` on.
    mirrored: the second half of the batch gets the noise of the first with its sign turned: what
    noise does to first order cancels in their mean, and half as many numbers are drawn.
    by_trial: what sigma_rec is multiplied by in each trial, (B,), or None.
    """

    def __init__(self, source, alpha, sigma_rec, share=(0, 1, None), mirrored=False, by_trial=None):
        self.source, self.share = source, share
        self.mirrored, self.by_trial = mirrored, by_trial
        self.scale = math.sqrt(2 * alpha) * sigma_rec

    def add(self, currents: Tensor, start: int = 0) -> None:
        """To the currents (n, B, N) of the steps from `start` on."""
        if torch.is_tensor(self.source):
            currents.add_(self.source[start : start + len(currents)], alpha=self.scale)
            return
        rank, n_ranks, n_trials = self.share
        n_trials = n_trials or currents.shape[1]
        n_drawn = (n_trials + 1) // 2 if self.mirrored else n_trials
        xi = currents.new_empty(len(currents), n_drawn, currents.shape[2])
        xi.normal_(0, self.scale, generator=self.source)
        if self.mirrored:
            xi = torch.cat([xi, -xi[:, : n_trials - n_drawn]], dim=1)
        xi = xi[:, rank::n_ranks]
        currents.add_(xi if self.by_trial is None else xi.mul_(self.by_trial[:, None]))


def blocks(n_steps: int, batch_size: int) -> list[slice]:
    """Slices of the time steps that are handled together: few enough to stay in a CPU's cache."""
    size = min(50, max(10, 1400 // batch_size))
    return [slice(start, min(start + size, n_steps)) for start in range(0, n_steps, size)]


def run_block(currents, inputs, weights, alpha, noise=None, start=0) -> None:
    """The recurrence from currents[0] over inputs (n, B, I), into currents[1:]; (n + 1, B, N).

    weights: (W_in, W, b); noise: a `Noise`, asked for the steps from `start` on, or None.
    """
    w_ih, w_hh, b_hh = weights
    drive = currents[1:]
    torch.matmul(inputs, w_ih.t(), out=drive)
    drive.add_(b_hh).mul_(alpha)
    if noise is not None:
        noise.add(drive, start)
    for k in range(len(drive)):
        advance(drive[k], currents[k], w_hh, alpha)


def unroll(inputs: Tensor, state: Tensor, weights, alpha: float, noise=None) -> Tensor:
    """Currents (T + 1, B, N) of a run from `state` (B, N) over inputs (T, B, I)."""
    currents = state.new_empty(len(inputs) + 1, *state.shape)
    currents[0] = state
    for block in blocks(*inputs.shape[:2]):
        own = currents[block.start : block.stop + 1]
        run_block(own, inputs[block], weights, alpha, noise, block.start)
    return currents


def adjoint(currents, grad_outputs, grad_states, w_hh, w_ho, alpha) -> Iterator:
    """delta_t = dL/dx_t, backwards in time, a block of n steps at a time.

        delta_t = (1 - alpha) delta_{t+1} + [x_t > 0] (alpha W' delta_{t+1} + W_out' g_t) + s_t

    currents (T + 1, B, N) as of `unroll`; g = grad_outputs = dL/dz (T, B, O); s = grad_states
    (T, B, N), the part of dL/dx that does not go through z, or None. For M sums L of each trial,
    g and the deltas have B M trials, those of trial b from b M on.
    Yields (slice of the steps, deltas (n, B, N), rates r_{t-1} and r_t (n + 1, B, N)).
    """
    n_sums = grad_outputs.shape[1] // currents.shape[1]
    delta = currents.new_zeros(grad_outputs.shape[1], currents.shape[2])
    for block in reversed(blocks(*grad_outputs.shape[:2])):
        rates = currents[block.start : block.stop + 1].relu()
        active = rates[1:].sign()
        if n_sums > 1:
            active = active.repeat_interleave(n_sums, dim=1)
        deltas = grad_outputs[block] @ w_ho
        for k in reversed(range(len(deltas))):
            deltas[k].addmm_(delta, w_hh, alpha=alpha).mul_(active[k]).add_(delta, alpha=1 - alpha)
            if grad_states is not None:
                deltas[k].add_(grad_states[block.start + k])
            delta = deltas[k]
        yield block, deltas, rates


class Sequence(torch.autograd.Function):
    """The recurrence over a whole sequence; its gradient is the adjoint recurrence.

    Autograd would record every step. Here the currents x are the only thing kept:

        dL/dW = alpha sum_t delta_t r'_{t-1}     dL/dW_in = alpha sum_t delta_t u'_t     and so on.
    """

    @staticmethod
    def forward(ctx, inputs, state, noise, alpha, w_ih, w_hh, b_hh, w_ho, b_ho):
        currents = unroll(inputs, state, (w_ih, w_hh, b_hh), alpha, noise)
        outputs = currents.new_empty(*inputs.shape[:2], len(b_ho))
        for block in blocks(*inputs.shape[:2]):
            states = currents[block.start + 1 : block.stop + 1]
            outputs[block] = states.relu() @ w_ho.t() + b_ho
        ctx.alpha = alpha
        ctx.save_for_backward(inputs, currents, w_ih, w_hh, w_ho)
        ctx.set_materialize_grads(False)
        return outputs, currents[1:]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_outputs, grad_states):
        inputs, currents, w_ih, w_hh, w_ho = ctx.saved_tensors
        alpha = ctx.alpha
        if grad_outputs is None:
            grad_outputs = inputs.new_zeros(*inputs.shape[:2], len(w_ho))
        grad_inputs = torch.empty_like(inputs) if ctx.needs_input_grad[0] else None
        d_ih, d_hh, d_ho = (torch.zeros_like(weights) for weights in (w_ih, w_hh, w_ho))
        d_b = w_hh.new_zeros(len(w_hh))
        parts = adjoint(currents, grad_outputs, grad_states, w_hh, w_ho, alpha)
        for block, deltas, rates in parts:
            flat = deltas.flatten(0, 1)
            d_hh.addmm_(flat.t(), rates[:-1].flatten(0, 1), alpha=alpha)
            d_ih.addmm_(flat.t(), inputs[block].flatten(0, 1), alpha=alpha)
            d_ho.addmm_(grad_outputs[block].flatten(0, 1).t(), rates[1:].flatten(0, 1))
            d_b.add_(flat.sum(0), alpha=alpha)
            delta = deltas[0]  # dL/dx_1 in the end
            if grad_inputs is not None:
                torch.matmul(deltas, w_ih, out=grad_inputs[block]).mul_(alpha)
        d_state = None
        if ctx.needs_input_grad[1]:
            d_state = alpha * (delta @ w_hh) * (currents[0] > 0) + (1 - alpha) * delta
        return grad_inputs, d_state, None, None, d_ih, d_hh, d_b, d_ho, grad_outputs.sum((0, 1))

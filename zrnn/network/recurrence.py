"""The recurrence over a sequence, and its gradient in closed form.

Shapes: B trials, T time steps, N hidden units, I inputs (clicks, context cue), O outputs.
"""

import torch


def pack(matrix):
    """`matrix` (2-D) laid out for many products with `add_product`; itself where that has no use.

    On a CPU oneDNN takes the products: the MKL that PyTorch would use runs at half speed on CPUs
    not made by Intel. oneDNN's product has no gradient; `Sequence` writes its own.
    """
    suits = matrix.device.type == "cpu" and matrix.dtype in (torch.float32, torch.bfloat16)
    if not suits or torch.is_grad_enabled() or not torch.backends.mkldnn.is_available():
        return matrix
    return torch.ops.mkldnn._reorder_linear_weight(matrix.contiguous())


def add_product(total, rows, matrix, alpha):
    """total += alpha rows @ matrix', in place; the product is taken in the matrix's precision."""
    if matrix.is_mkldnn:
        rows = rows.to(matrix.dtype)
        product = torch.ops.mkldnn._linear_pointwise(rows, matrix, None, "none", [], "")
        return total.add_(product, alpha=alpha)
    if matrix.dtype == total.dtype:
        return total.addmm_(rows, matrix.t(), alpha=alpha)
    return total.add_(rows.to(matrix.dtype) @ matrix.t(), alpha=alpha)


def advance(drive, state, w_hh, alpha):
    """One step of the recurrence, in place: the only place where it is written down.

    `drive` (B, N) holds alpha (W_in u_t + b) + noise and becomes x_t; `state` (B, N) is x_{t-1};
    `w_hh` (N, N) is the effective matrix, [post, pre], packed or not.
    """
    return add_product(drive.add_(state, alpha=1 - alpha), state.relu(), w_hh, alpha)


def blocks(n_steps, batch_size):
    """Slices of the time steps that are handled together: few enough to stay in a CPU's cache."""
    size = min(50, max(10, 1400 // batch_size))
    return [slice(start, min(start + size, n_steps)) for start in range(0, n_steps, size)]


def run_block(currents, inputs, start, noise, alpha, w_ih, w_hh, b_hh):
    """The recurrence from currents[0] over inputs (n, B, I), into currents[1:]; (n + 1, B, N)."""
    drive = currents[1:]
    torch.matmul(inputs, w_ih.t(), out=drive)
    drive.add_(b_hh).mul_(alpha)
    if noise is not None:
        noise(drive, start)
    for k in range(len(drive)):
        advance(drive[k], currents[k], w_hh, alpha)


class Sequence(torch.autograd.Function):
    """The recurrence over a whole sequence, with its gradient in closed form.

    Autograd would record every step. Here the currents x are the only thing kept, and the backward
    pass runs the adjoint recurrence, with delta_t = dL/dx_t and g_t = dL/dz_t:

        delta_t = (1 - alpha) delta_{t+1} + [x_t > 0] * (alpha W' delta_{t+1} + W_out' g_t)
        dL/dW = alpha sum_t delta_t r'_{t-1}     dL/dW_in = alpha sum_t delta_t u'_t     and so on.

    All tensors are time-major: inputs (T, B, I), currents (T, B, N), outputs (T, B, O).
    noise: a function (currents, start) that adds the noise of the steps from `start` on, or None.
    products: the dtypes in which the products with W are taken, forward and backward; the currents
    and the gradient keep their own.
    recompute: keep one x a block and run each block again, with the same noise, in the backward
    pass; no currents are returned then.
    """

    @staticmethod
    def forward(
        ctx, inputs, state, noise, alpha, products, recompute, w_ih, w_hh, b_hh, w_ho, b_ho
    ):
        packed, parts = pack(w_hh.to(products[0])), blocks(*inputs.shape[:2])
        n_kept = len(parts) if recompute else len(inputs) + 1
        kept = state.new_empty(n_kept, *state.shape)  # x before each block, or x_0 ... x_T
        currents = state.new_empty(parts[0].stop + 1, *state.shape) if recompute else None
        outputs = state.new_empty(*inputs.shape[:2], w_ho.shape[0])  # (T, B, O)
        for i, block in enumerate(parts):
            if recompute:
                kept[i] = state
                currents = currents[: block.stop - block.start + 1]
            else:
                currents = kept[block.start : block.stop + 1]
            currents[0] = state
            run_block(currents, inputs[block], block.start, noise, alpha, w_ih, packed, b_hh)
            outputs[block] = currents[1:].relu() @ w_ho.t() + b_ho
            state = currents[-1]
        ctx.noise, ctx.alpha, ctx.products, ctx.recompute = noise, alpha, products, recompute
        ctx.save_for_backward(inputs, kept, w_ih, w_hh, b_hh, w_ho)
        ctx.set_materialize_grads(False)
        return outputs, None if recompute else kept[1:]

    @staticmethod
    def backward(ctx, grad_outputs, grad_states):
        inputs, kept, w_ih, w_hh, b_hh, w_ho = ctx.saved_tensors
        alpha, parts = ctx.alpha, blocks(*inputs.shape[:2])
        packed, back = pack(w_hh.to(ctx.products[0])), pack(w_hh.t().to(ctx.products[1]))
        if grad_outputs is None:
            grad_outputs = inputs.new_zeros(*inputs.shape[:2], w_ho.shape[0])
        grad_inputs = torch.empty_like(inputs) if ctx.needs_input_grad[0] else None
        d_ih, d_b, d_ho = (torch.zeros_like(parameter) for parameter in (w_ih, b_hh, w_ho))
        d_hh = torch.zeros_like(w_hh)
        delta = torch.zeros_like(kept[0])  # dL/dx_{t+1}, (B, N)
        for i, block in reversed(list(enumerate(parts))):
            n_steps = block.stop - block.start
            if ctx.recompute:
                currents = kept.new_empty(n_steps + 1, *delta.shape)
                currents[0] = kept[i]
                run_block(
                    currents, inputs[block], block.start, ctx.noise, alpha, w_ih, packed, b_hh
                )
            else:
                currents = kept[block.start : block.stop + 1]
            rates = currents.relu()  # r_{t-1} and r_t of the block
            active = rates[1:].sign()
            deltas = grad_outputs[block] @ w_ho  # (block, B, N)
            for k in reversed(range(n_steps)):
                add_product(deltas[k], delta, back, alpha)
                deltas[k].mul_(active[k]).add_(delta, alpha=1 - alpha)
                if grad_states is not None:
                    deltas[k].add_(grad_states[block.start + k])
                delta = deltas[k]
            flat = deltas.flatten(0, 1)
            before = rates[:-1].flatten(0, 1).to(ctx.products[1])
            add_product(d_hh, flat.t(), pack(before.t()), alpha)
            d_ih.t().addmm_(inputs[block].flatten(0, 1).t(), flat, alpha=alpha)
            d_ho.addmm_(grad_outputs[block].flatten(0, 1).t(), rates[1:].flatten(0, 1))
            d_b.add_(flat.sum(0), alpha=alpha)
            if grad_inputs is not None:
                torch.matmul(deltas, w_ih, out=grad_inputs[block]).mul_(alpha)
        d_state = None
        if ctx.needs_input_grad[1]:
            d_state = add_product(torch.zeros_like(delta), delta, back, alpha) * (kept[0] > 0)
            d_state = d_state.add_(delta, alpha=1 - alpha)
        d_bo = grad_outputs.sum((0, 1))
        return grad_inputs, d_state, None, None, None, None, d_ih, d_hh, d_b, d_ho, d_bo

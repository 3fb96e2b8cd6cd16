"""The ZemlianovaRNN, the vanilla RNN it is compared with, and their checkpoints.

Both networks are one leaky recurrence of N rate units with two kinds of weights:

    x_t = (1 - alpha) x_{t-1} + alpha (W r_{t-1} + W_in u_t + b) + sqrt(2 alpha) sigma_rec xi_t
    z_t = W_out r_t + b_out                  r = max(x, 0),   alpha = dt / tau,   xi ~ N(0, 1)

Shapes: B trials, T time steps, N hidden units, I inputs (clicks, context cue), O outputs.
"""

import hashlib
import inspect
import io
import math
import warnings
from pathlib import Path

import torch
from torch import nn

import files

SHIPPED = Path(__file__).parent / "pretrained" / "ZemlianovaRNN_seed4.pth"


class ModelError(ValueError):
    """A checkpoint or a device that cannot be used; the message is one line for the user."""


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


class RNN(nn.Module):
    """Vanilla RNN: the leaky recurrence with unconstrained weights and no noise.

    At dt = tau it is the textbook ReLU network r_t = relu(W_in u_t + W r_{t-1} + b).

    dt, tau: integration step and membrane time constant [s].
    """

    sigma_rec = 0.0
    sigma_input = 0.0
    products = (None, None)  # dtypes of a sequence's products with W, forward and backward, where
    # they are not that of the weights
    recompute = False  # a sequence keeps less and takes longer; its states are not returned

    def __init__(self, input_dim, hidden_dim, output_dim, dt, tau, generator=None):
        super().__init__()
        self.arguments = dict(
            input_dim=input_dim, hidden_dim=hidden_dim, output_dim=output_dim, dt=dt, tau=tau
        )
        self.dt, self.tau = dt, tau
        self.w_ih = nn.Parameter(torch.empty(hidden_dim, input_dim))
        self.w_hh = nn.Parameter(torch.empty(hidden_dim, hidden_dim))  # [post, pre]
        self.b_hh = nn.Parameter(torch.zeros(hidden_dim))
        self.w_ho = nn.Parameter(torch.empty(output_dim, hidden_dim))
        self.b_ho = nn.Parameter(torch.zeros(output_dim))
        nn.init.xavier_normal_(self.w_ih, generator=generator)
        nn.init.xavier_normal_(self.w_ho, generator=generator)
        nn.init.xavier_normal_(self.w_hh, generator=generator)

    @property
    def alpha(self):
        """Share of a unit's current that is renewed in one step: dt / tau."""
        return self.dt / self.tau

    def effective_w_hh(self):
        """The recurrent matrix W (N, N), [post, pre], as the recurrence uses it."""
        return self.w_hh

    def initial_state(self, batch_size):
        """Rest: currents x = 0, (B, N)."""
        return self.w_hh.new_zeros(batch_size, self.w_hh.shape[0])

    def noisy_inputs(self, inputs, generator):
        """Input noise, for training only: u -> max(u + sqrt(2 alpha) sigma_input eta, 0)."""
        if self.sigma_input == 0:
            return inputs
        eta = torch.empty_like(inputs).normal_(generator=generator)
        return (inputs + math.sqrt(2 * self.alpha) * self.sigma_input * eta).clamp_min(0)

    def _add_noise(self, noise, mirrored=False, share=(0, 1, None)):
        """A function (currents (n, B, N), start) that adds sqrt(2 alpha) sigma_rec xi in place.

        noise: xi (T, B, N), of which the steps from `start` on are taken, or a torch.Generator to
        draw them from. Asked again for the same start, it adds the same noise. None: no noise.
        """
        scale = math.sqrt(2 * self.alpha) * self.sigma_rec
        if noise is None or scale == 0:
            return None
        if torch.is_tensor(noise):
            return lambda currents, start: currents.add_(
                noise[start : start + len(currents)], alpha=scale
            )
        began = {}  # start: state of the generator when it was asked first

        def add(currents, start):
            now = noise.get_state()
            again = began.setdefault(start, now) is not now
            if again:
                noise.set_state(began[start])
            first, second = currents, None
            if mirrored:
                first, second = currents.chunk(2, dim=1)
            rank, n_ranks, n_trials = share
            xi = first.new_empty(len(first), n_trials or first.shape[1], first.shape[2])
            xi = xi.normal_(0, scale, generator=noise)[:, rank::n_ranks]
            first.add_(xi)
            if mirrored:
                second.sub_(xi)
            if again:
                noise.set_state(now)

        return add

    def step(self, inputs, state, noise=None, w_hh=None):
        """One time step: inputs (B, I), state x_{t-1} (B, N) -> outputs (B, O), state x_t (B, N).

        noise: None for a noise-free step, xi (B, N), or a torch.Generator to draw xi from.
        w_hh: `effective_w_hh()`, worked out, and packed, once by callers that take many steps.
        """
        w_hh = self.effective_w_hh() if w_hh is None else w_hh
        drive = self.alpha * torch.addmm(self.b_hh, inputs, self.w_ih.t())
        add_noise = self._add_noise(noise[None] if torch.is_tensor(noise) else noise)
        if add_noise is not None:
            add_noise(drive[None], 0)
        state = advance(drive, state, w_hh, self.alpha)
        return torch.addmm(self.b_ho, state.relu(), self.w_ho.t()), state

    def forward(self, inputs, state=None, noise=None, mirrored=False, share=(0, 1, None)):
        """A sequence: inputs (B, T, I), state (B, N) -> outputs (B, T, O), states x (B, T, N).

        noise: None for a noise-free run, xi (B, T, N), or a torch.Generator to draw xi from.
        state: x before the first step; rest (x = 0) if None.
        mirrored: the second half of the batch gets the drawn noise of the first with its sign
        turned. Given the same trials, what noise does to first order is then the same in both
        halves up to sign, and cancels in a mean; B must be even.
        share: (rank, n, R): noise is drawn for R trials, and every n-th, from rank on, is taken;
        None for R: for the trials at hand (for training on several processes).
        With self.recompute the states are None.
        """
        state = self.initial_state(inputs.shape[0]) if state is None else state
        noise = noise.transpose(0, 1) if torch.is_tensor(noise) else noise
        outputs, states = Sequence.apply(
            inputs.transpose(0, 1).contiguous(), state, self._add_noise(noise, mirrored, share),
            self.alpha, [dtype or self.w_hh.dtype for dtype in self.products], self.recompute,
            self.w_ih, self.effective_w_hh(), self.b_hh, self.w_ho, self.b_ho,
        )  # fmt: skip
        return outputs.transpose(0, 1), None if self.recompute else states.transpose(0, 1)


class ZemlianovaRNN(RNN):
    """Excitatory-inhibitory network for rhythmic timing (Zemlianova, Bose & Rinzel, 2024).

    The first `excit_percent` (a share, 0..1) of the units are excitatory, the rest inhibitory.
    sigma_rec, sigma_input: SD of the recurrent and of the input noise.
    """

    # W starts half-normal with this gain. The predecessor's start (Xavier-normal of gain 0.1 with
    # its negatives set to zero) has the same row sums, but |.| has no gradient at its zeros: half
    # of the synapses could never train.
    W_HH_GAIN = 0.05

    def __init__(
        self, input_dim, hidden_dim, output_dim, dt, tau, excit_percent, sigma_rec, sigma_input,
        generator=None,
    ):  # fmt: skip
        super().__init__(input_dim, hidden_dim, output_dim, dt, tau, generator)
        self.arguments.update(
            excit_percent=excit_percent, sigma_rec=sigma_rec, sigma_input=sigma_input
        )
        self.sigma_rec, self.sigma_input = sigma_rec, sigma_input
        with torch.no_grad():
            self.w_hh.mul_(self.W_HH_GAIN).abs_()
        self.n_excit = round(excit_percent * hidden_dim)
        signs = torch.ones(hidden_dim, hidden_dim).fill_diagonal_(0)
        signs[:, self.n_excit :] *= -1  # a unit's sign is its column: what it sends
        self.register_buffer("signs", signs, persistent=False)

    def effective_w_hh(self):
        """Dale's law: |w_hh|, the columns of I units negated, no self-connection. (N, N)"""
        return self.w_hh.abs() * self.signs


MODELS = {"ZemlianovaRNN": ZemlianovaRNN, "RNN": RNN}


def build_model(type, generator=None, **arguments):
    """A fresh network of the named type; `arguments` may hold more keys than its class takes."""
    names = set(inspect.signature(MODELS[type]).parameters) & set(arguments)
    return MODELS[type](**{name: arguments[name] for name in names}, generator=generator)


def save_checkpoint(path, model, **about):
    """Write a checkpoint that describes itself: type, arguments and weights, and what `about` says.

    Raises FileError.
    """
    content = {
        "model_type": type(model).__name__,
        "arguments": model.arguments,
        "state_dict": model.state_dict(),
        **about,
    }
    data = io.BytesIO()
    torch.save(content, data)
    with files.replacing(path) as part:
        part.write_bytes(data.getbuffer())


def read_checkpoint(path, config=None):
    """A checkpoint's path and content: model_type, arguments, state_dict, config, sha256 and so on.

    path: None takes the config's training.save_path if there is one, else the shipped network;
    "shipped" always takes that.
    A bare state dict, the predecessor's format, becomes {"state_dict": ..., "sha256": ...}. Nothing
    but tensors and plain values is ever unpickled. Raises ModelError.
    """
    if path == "shipped":
        path = SHIPPED
    if path is None:
        trained = Path(config["training"]["save_path"])
        path = trained if trained.exists() else SHIPPED
    try:
        data = Path(path).read_bytes()
        with warnings.catch_warnings(action="ignore"):  # the error below says it in one line
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can fail anywhere inside the unpickler
        reason = (str(error).strip() or "empty file").splitlines()[0]
        raise ModelError(
            f"checkpoint {path}: cannot be read ({reason}); make one with python train.py"
        ) from None
    if isinstance(content, dict) and "w_hh" in content:
        content = {"state_dict": content}
    if not isinstance(content, dict) or "state_dict" not in content:
        raise ModelError(f"checkpoint {path}: neither a checkpoint of train.py nor a state dict")
    return path, {**content, "sha256": hashlib.sha256(data).hexdigest()}


def restore_model(content, **model_config):
    """The network of a checkpoint's `content`, eval mode, on the CPU. Raises ModelError.

    model_config: the config's model section, which may change what the weights do not fix (dt,
    noise); without it, the checkpoint's own type and arguments.
    """
    model_config = model_config or {"type": content["model_type"], **content["arguments"]}
    model = build_model(**model_config)
    weights = dict(content["state_dict"])
    weights.pop("b_ih", None)  # in the predecessor's state dicts; never used there
    for name, parameter in model.state_dict().items():
        if name not in weights or weights[name].shape != parameter.shape:
            found = tuple(weights[name].shape) if name in weights else "missing"
            raise ModelError(
                f"checkpoint: {name} is {found}; allowed: {tuple(parameter.shape)} for "
                f"model.hidden_dim {model_config['hidden_dim']}"
            )
    model.load_state_dict(weights)
    return model.eval()


def has_bfloat16(device):
    """Whether the device multiplies bfloat16 natively; elsewhere it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    units = torch.cpu.get_capabilities()
    return bool(units.get("avx512_bf16") or units.get("amx_bf16"))


def pick_device(name):
    """The torch device of that name; "auto" is CUDA if there is any, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, TypeError):
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise ModelError(f"device is {name!r}; allowed here: auto or cpu or a CUDA device")
    return device

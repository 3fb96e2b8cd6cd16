"""The ZemlianovaRNN and the vanilla RNN it is compared with: all of their mathematics.

    x_t = (1 - alpha) x_{t-1} + alpha (W r_{t-1} + W_in u_t + b) + sqrt(2 alpha) sigma_rec xi_t
    z_t = W_out r_t + b_out                  r = max(x, 0),   alpha = dt / tau,   xi ~ N(0, 1)

Shapes: B trials, T time steps, N hidden units, I inputs u (clicks, context cue), O outputs z.
A user's sequences are batch-major, (B, T, I); inside they are time-major, (T, B, I).

    model = load_network()                      # the shipped network; or the path of a checkpoint
    outputs, currents = model(inputs)           # (B, T, 2) -> (B, T, 1), (B, T, N)
"""

import inspect
import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from zrnn import checkpoints, configuration, files
from zrnn.errors import UserError
from zrnn.schema import KEYS, PATHS


class Noise:
    """Recurrent noise: adds sqrt(2 alpha) sigma_rec xi to currents, in place.

    Made by `RNN.noise`, which documents the arguments.
    """

    def __init__(self, source, scale, antithetic=False, trial_scale=None, ranks=(0, 1)):
        self.source, self.scale, self.antithetic = source, scale, antithetic
        self.trial_scale, self.ranks = trial_scale, ranks

    def add(self, currents: Tensor, start: int) -> None:
        """Add noise to currents (n, B, N); start: index of their first step, for a given xi."""
        if torch.is_tensor(self.source):
            xi = self.source[start : start + len(currents)]
            if xi.shape != currents.shape:  # it would be broadcast
                given, allowed = (tuple(one.transpose(0, 1).shape) for one in (xi, currents))
                raise ValueError(f"noise xi of these steps is {given}; allowed: {allowed}")
            currents.add_(xi, alpha=self.scale)
            return
        rank, n_ranks = self.ranks
        n_trials = currents.shape[1] if self.trial_scale is None else len(self.trial_scale)
        n_drawn = (n_trials + 1) // 2 if self.antithetic else n_trials
        xi = currents.new_empty(len(currents), n_drawn, currents.shape[2])
        xi.normal_(0, self.scale, generator=self.source)
        if self.antithetic:
            xi = torch.cat([xi, -xi[:, : n_trials - n_drawn]], dim=1)
        xi = xi[:, rank::n_ranks]
        if self.trial_scale is not None:
            xi = xi.mul_(self.trial_scale[rank::n_ranks, None])
        currents.add_(xi)


class RNN(nn.Module):
    """Vanilla RNN: the leaky recurrence with unconstrained weights.

    At dt = tau it is the textbook ReLU network r_t = relu(W_in u_t + W r_{t-1} + b).

    dt, tau: time step and membrane time constant [s]; vanilla_sigma_rec: SD of the recurrent
    noise; generator: of the initial weights.
    """

    n_excit: int | None = None  # number of E units; None: no Dale's law
    sigma_input = 0.0

    def __init__(
        self, input_dim, hidden_dim, output_dim, dt, tau, vanilla_sigma_rec=0.0, generator=None
    ):
        super().__init__()
        self.dt, self.tau, self.sigma_rec = dt, tau, vanilla_sigma_rec
        self.w_ih = nn.Parameter(torch.empty(hidden_dim, input_dim))  # W_in
        self.w_hh = nn.Parameter(torch.empty(hidden_dim, hidden_dim))  # [post, pre]
        self.b_hh = nn.Parameter(torch.zeros(hidden_dim))
        self.w_ho = nn.Parameter(torch.empty(output_dim, hidden_dim))  # W_out
        self.b_ho = nn.Parameter(torch.zeros(output_dim))
        for weights in (self.w_ih, self.w_ho, self.w_hh):
            nn.init.xavier_normal_(weights, generator=generator)

    @property
    def alpha(self) -> float:
        """Fraction of a current that is renewed in one step: dt / tau."""
        return self.dt / self.tau

    @property
    def arguments(self) -> dict:
        """The arguments that make this network again, for its checkpoint."""
        return self.made_with | {"dt": self.dt}

    @contextmanager
    def temporarily(self, dt: float | None = None, noise_scale: float = 1.0):
        """Within the block: another time step [s], and sigma_rec multiplied by noise_scale."""
        before = self.dt, self.sigma_rec
        self.dt, self.sigma_rec = dt or self.dt, noise_scale * self.sigma_rec
        try:
            yield self
        finally:
            self.dt, self.sigma_rec = before

    def effective_w_hh(self) -> Tensor:
        """The recurrent matrix W (N, N), [post, pre], as the recurrence uses it."""
        return self.w_hh

    def initial_state(self, batch_size: int) -> Tensor:
        """Currents x = 0, (B, N)."""
        return self.w_hh.new_zeros(batch_size, len(self.w_hh))

    def as_inputs(self, inputs) -> Tensor:
        """Inputs (B, T, I), an array or of any type of numbers, as a tensor. Raises ValueError."""
        inputs, n_inputs = torch.as_tensor(inputs), self.w_ih.shape[1]
        if inputs.ndim != 3 or inputs.shape[2] != n_inputs:
            raise ValueError(f"inputs are {tuple(inputs.shape)}; allowed: (B, T, {n_inputs})")
        return inputs

    def noisy_inputs(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Input noise, for training only: u -> max(u + sqrt(2 alpha) sigma_input eta, 0)."""
        if self.sigma_input == 0:
            return inputs
        eta = torch.empty_like(inputs).normal_(generator=generator)
        return (inputs + math.sqrt(2 * self.alpha) * self.sigma_input * eta).clamp_min(0)

    def noise(self, source, antithetic=False, trial_scale=None, ranks=(0, 1)) -> Noise | None:
        """The recurrent noise at the present dt and sigma_rec.

        source: a torch.Generator, or xi (B, T, N); None: no noise. A `Noise` is returned as it is.
        An xi of another shape than the run raises ValueError.
        antithetic: the second half of the batch gets the noise of the first with opposite sign, so
        that its first-order effect on the mean over the batch vanishes. trial_scale (B,): factor of
        sigma_rec in each trial. ranks: (rank, number of processes) where several processes share a
        batch; each draws the noise of all B trials and takes those of its own.
        """
        if source is None or isinstance(source, Noise):
            return source
        if hasattr(source, "__array__"):  # a tensor or an array
            source = torch.as_tensor(source).to(self.w_hh).transpose(0, 1)
        scale = math.sqrt(2 * self.alpha) * self.sigma_rec
        return Noise(source, scale, antithetic, trial_scale, ranks)

    @staticmethod
    def advance(drive: Tensor, state: Tensor, w_hh: Tensor, alpha: float) -> Tensor:
        """One step of the recurrence, in place.

        `drive` (B, N) holds alpha (W_in u_t + b) + noise and becomes x_t; `state` (B, N) is
        x_{t-1}; w_hh (N, N) is the effective matrix W.
        """
        return drive.add_(state, alpha=1 - alpha).addmm_(state.relu(), w_hh.t(), alpha=alpha)

    def readout(self, currents: Tensor) -> Tensor:
        """Outputs z = W_out max(x, 0) + b_out of currents x: (..., N) -> (..., O)."""
        return currents.relu() @ self.w_ho.t() + self.b_ho

    def step(self, inputs: Tensor, state: Tensor, noise=None, w_hh=None) -> tuple[Tensor, Tensor]:
        """One time step: inputs (B, I), state x_{t-1} (B, N) -> outputs (B, O), state x_t (B, N).

        noise: a torch.Generator, or None; w_hh: `effective_w_hh()`, computed once by callers that
        take many steps.
        """
        w_hh = self.effective_w_hh() if w_hh is None else w_hh
        drive = self.alpha * torch.addmm(self.b_hh, inputs, self.w_ih.t())
        if noise is not None:
            self.noise(noise).add(drive[None], 0)
        state = self.advance(drive, state, w_hh, self.alpha)
        return self.readout(state), state

    def run_block(self, currents: Tensor, inputs: Tensor, w_hh: Tensor, noise=None, start=0):
        """The recurrence over inputs (n, B, I), from currents[0] into currents[1:]; (n + 1, B, N).

        noise: a `Noise` or None, of which the steps from `start` on are taken.
        """
        drive, alpha = currents[1:], self.alpha
        torch.matmul(inputs, self.w_ih.t(), out=drive)
        drive.add_(self.b_hh).mul_(alpha)
        if noise is not None:
            noise.add(drive, start)
        for k in range(len(drive)):
            self.advance(drive[k], currents[k], w_hh, alpha)

    def unroll(self, inputs: Tensor, state: Tensor, noise=None, w_hh=None) -> Tensor:
        """Currents (T + 1, B, N) of a run from `state` (B, N) over inputs (T, B, I).

        noise, w_hh: as in `run_block` and `step`. Records no gradient: `forward` does.
        """
        w_hh = self.effective_w_hh() if w_hh is None else w_hh
        currents = state.new_empty(len(inputs) + 1, *state.shape)
        currents[0] = state
        for block in blocks(*inputs.shape[:2]):
            part = currents[block.start : block.stop + 1]
            self.run_block(part, inputs[block], w_hh, noise, block.start)
        return currents

    def adjoint(self, currents, grad_outputs, grad_currents=None, w_hh=None) -> Iterator:
        """delta_t = dL/dx_t, backwards in time, a block of n steps at a time.

            delta_t = (1 - alpha) delta_{t+1} + [x_t > 0] (alpha W' delta_{t+1} + W_out' g_t) + s_t

        currents (T + 1, B, N) of `unroll`; g = grad_outputs = dL/dz (T, B, O); s = grad_currents
        (T, B, N), the part of dL/dx that does not go through z. With M losses for each trial, g
        and delta have B M rows a step; rows b M to (b + 1) M - 1 belong to trial b.
        Yields (slice of the steps, deltas (n, B, N), rates r_{t-1} and r_t (n + 1, B, N)).
        """
        w_hh, alpha = self.effective_w_hh() if w_hh is None else w_hh, self.alpha
        n_scalars = grad_outputs.shape[1] // currents.shape[1]
        delta = currents.new_zeros(grad_outputs.shape[1], currents.shape[2])
        for block in reversed(blocks(*grad_outputs.shape[:2])):
            rates = currents[block.start : block.stop + 1].relu()
            active = rates[1:].sign()
            if n_scalars > 1:
                active = active.repeat_interleave(n_scalars, dim=1)
            deltas = grad_outputs[block] @ self.w_ho
            for k in reversed(range(len(deltas))):
                deltas[k].addmm_(delta, w_hh, alpha=alpha).mul_(active[k])
                deltas[k].add_(delta, alpha=1 - alpha)
                if grad_currents is not None:
                    deltas[k].add_(grad_currents[block.start + k])
                delta = deltas[k]
            yield block, deltas, rates

    def forward(self, inputs: Tensor, state=None, noise=None) -> tuple[Tensor, Tensor]:
        """A sequence: inputs (B, T, I) -> outputs z (B, T, O), currents x (B, T, N).

        state (B, N): x before the first step, 0 if None; noise: a torch.Generator or xi (B, T, N),
        as in `noise`; None: no noise. Inputs may be an array or of another floating-point type.
        Only first derivatives are available. For second ones, torch.func or vmap, call `step` in a
        loop.
        """
        if torch._C._are_functorch_transforms_active():
            raise RuntimeError("no torch.func here (jacrev, vmap); loop over model.step")
        inputs = self.as_inputs(inputs).to(self.w_hh)
        state = self.initial_state(len(inputs)) if state is None else state
        state = torch.as_tensor(state).to(self.w_hh)
        weights = self.w_ih, self.effective_w_hh(), self.b_hh, self.w_ho, self.b_ho
        time_major = inputs.transpose(0, 1).contiguous()
        outputs, currents = Sequence.apply(self, time_major, state, self.noise(noise), *weights)
        return outputs.transpose(0, 1), currents.transpose(0, 1)


class ZemlianovaRNN(RNN):
    """Excitatory-inhibitory network for rhythmic timing (Zemlianova, Bose & Rinzel, 2024).

    The first units, the fraction `excit_percent`, are excitatory, the others inhibitory.
    sigma_rec, sigma_input: SD of the recurrent and of the input noise.
    """

    # Gain of the initial w_hh. The original code's start, "rectified" (negative weights set to 0),
    # has the same expected row sums. |.| has no gradient at 0, so half of its synapses never train.
    W_HH_GAIN = {"half-normal": 0.05, "rectified": 0.1}

    def __init__(
        self, input_dim, hidden_dim, output_dim, dt, tau, excit_percent, sigma_rec, sigma_input,
        w_hh_start="half-normal", generator=None,
    ):  # fmt: skip
        super().__init__(input_dim, hidden_dim, output_dim, dt, tau, sigma_rec, generator)
        self.sigma_input = sigma_input
        with torch.no_grad():
            self.w_hh.mul_(self.W_HH_GAIN[w_hh_start])
            self.w_hh.abs_() if w_hh_start == "half-normal" else self.w_hh.relu_()
        self.n_excit = round(excit_percent * hidden_dim)
        signs = torch.ones(hidden_dim, hidden_dim).fill_diagonal_(0)
        signs[:, self.n_excit :] *= -1  # the sign belongs to the presynaptic unit, the column
        self.register_buffer("signs", signs, persistent=False)

    def effective_w_hh(self) -> Tensor:
        """Dale's law: |w_hh|, the columns of I units negated, no self-connection. (N, N)"""
        return self.w_hh.abs() * self.signs


def blocks(n_steps: int, batch_size: int) -> list[slice]:
    """Slices of time steps that are processed together: few enough to stay in a CPU's cache."""
    size = min(50, max(10, 1400 // batch_size))
    return [slice(start, min(start + size, n_steps)) for start in range(0, n_steps, size)]


class Sequence(torch.autograd.Function):
    """The recurrence over a whole sequence, with its gradient in closed form.

    Autograd would record every step. Here only the currents x are stored. The gradients follow from
    delta of `RNN.adjoint`:

        dL/dW = alpha sum_t delta_t r'_{t-1},   dL/dW_in = alpha sum_t delta_t u'_t,   and so on.
    """

    @staticmethod
    def forward(ctx, model, inputs, state, noise, w_ih, w_hh, b_hh, w_ho, b_ho):
        currents = model.unroll(inputs, state, noise, w_hh)
        outputs = currents.new_empty(*inputs.shape[:2], len(b_ho))
        for block in blocks(*inputs.shape[:2]):
            outputs[block] = model.readout(currents[block.start + 1 : block.stop + 1])
        ctx.model, ctx.dt = model, model.dt
        ctx.save_for_backward(inputs, currents, w_ih, w_hh, w_ho)
        ctx.set_materialize_grads(False)
        return outputs, currents[1:]

    @staticmethod
    def backward(ctx, grad_outputs, grad_currents):
        if torch.is_grad_enabled():  # create_graph: second derivatives are not defined here
            raise RuntimeError("only first derivatives; for second ones loop over model.step")
        inputs, currents, w_ih, w_hh, w_ho = ctx.saved_tensors
        alpha = ctx.dt / ctx.model.tau
        if grad_outputs is None:
            grad_outputs = inputs.new_zeros(*inputs.shape[:2], len(w_ho))
        d_inputs = torch.empty_like(inputs) if ctx.needs_input_grad[1] else None
        d_ih, d_hh, d_ho = (torch.zeros_like(weights) for weights in (w_ih, w_hh, w_ho))
        d_b = w_hh.new_zeros(len(w_hh))
        with ctx.model.temporarily(dt=ctx.dt):
            parts = ctx.model.adjoint(currents, grad_outputs, grad_currents, w_hh)
            for block, deltas, rates in parts:
                flat = deltas.flatten(0, 1)
                d_hh.addmm_(flat.t(), rates[:-1].flatten(0, 1), alpha=alpha)
                d_ih.addmm_(flat.t(), inputs[block].flatten(0, 1), alpha=alpha)
                d_ho.addmm_(grad_outputs[block].flatten(0, 1).t(), rates[1:].flatten(0, 1))
                d_b.add_(flat.sum(0), alpha=alpha)
                delta = deltas[0]  # dL/dx_1 after the last block
                if d_inputs is not None:
                    torch.matmul(deltas, w_ih, out=d_inputs[block]).mul_(alpha)
        d_state = None
        if ctx.needs_input_grad[2]:
            d_state = alpha * (delta @ w_hh) * (currents[0] > 0) + (1 - alpha) * delta
        return None, d_inputs, d_state, None, d_ih, d_hh, d_b, d_ho, grad_outputs.sum((0, 1))


MODELS = {"ZemlianovaRNN": ZemlianovaRNN, "RNN": RNN}


def build_model(type: str, generator: torch.Generator | None = None, **arguments) -> RNN:
    """A new network of the named type; `arguments` may hold more keys than its class takes."""
    names = inspect.signature(MODELS[type]).parameters
    chosen = {name: value for name, value in arguments.items() if name in names}
    model = MODELS[type](**chosen, generator=generator)
    model.made_with = chosen
    return model


def restore_model(content: dict, **changes) -> RNN:
    """The network of a checkpoint's content, in eval mode, on the CPU. Raises UserError.

    changes: arguments that differ from the checkpoint's. The type, the sizes and the fraction of E
    units may not, because the shapes and signs of the weights depend on them.
    """
    given = {"type": content["model_type"], **content["arguments"]}
    arguments = configuration.model_arguments(given, changes)
    for key in ("type", "input_dim", "hidden_dim", "output_dim", "excit_percent"):
        if key in given and key in changes and arguments[key] != given[key]:
            raise UserError(
                f"model.{key} is {changes[key]!r}; allowed: {given[key]!r}, with which the "
                "checkpoint was trained; for another value train a network with train.py"
            )
    model = build_model(**arguments)
    model.load_state_dict(checkpoints.check_weights(content["state_dict"], model.state_dict()))
    return model.eval()


def load_network(path=None, device: str = "cpu", **changes) -> RNN:
    """The network of a checkpoint, ready to run; the shipped one without a path. Raises UserError.

    changes: keys of the model section on which the shapes and signs of the weights do not depend,
    such as dt=0.0005 [s] or sigma_rec=0.
    """
    section = configuration.load().model  # for a state dict alone, which does not say what it is
    content = checkpoints.read_checkpoint(path or checkpoints.SHIPPED, section)[1]
    known = inspect.signature(MODELS[content["model_type"]]).parameters
    if other := [key for key in changes if f"model.{key}" in KEYS and key not in {*known, "type"}]:
        raise UserError(f"load_network: model.{other[0]} has no effect on {content['model_type']}")
    return restore_model(content, **changes).to(checkpoints.pick_device(device))


def open_network(config_path, checkpoint, device, flags, section=None):
    """The configuration of a script, the network on its device, and their provenance.

    The configuration is that of `config_path` and `flags`, with the checkpoint's sections model,
    task and training; a run with a name uses its own network. section: name of the section whose
    folder is checked for writing. Raises UserError.
    """
    named = ("model", "name", *PATHS)  # other flags may fit the checkpoint's configuration alone
    places = {key: value for key, value in flags.items() if key.startswith(named)}
    plain = configuration.load(config_path, places)
    if "name" in flags and checkpoint is None:
        checkpoint = plain.training.save_path
    path = checkpoints.find_checkpoint(checkpoint, plain.training.save_path)
    path, content = checkpoints.read_checkpoint(path, plain.model)
    config = configuration.load(config_path, flags, content.get("config"))
    if section is not None:
        files.check_folder(config[section].folder)
    print(f"network: {path}", configuration.changes_text(config), sep="\n")
    model = restore_model(content, **dict(config.model)).to(checkpoints.pick_device(device))
    made_by = checkpoints.provenance() | {"checkpoint": str(path), "sha256": content["sha256"]}
    return config, model, made_by | {"device": str(model.w_hh.device)}

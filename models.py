"""The ZemlianovaRNN, the vanilla RNN it is compared with, and their checkpoints.

Both networks are one leaky recurrence of N rate units with two kinds of weights:

    x_t = (1 - alpha) x_{t-1} + alpha (W r_{t-1} + W_in u_t + b) + sqrt(2 alpha) sigma_rec xi_t
    z_t = W_out r_t + b_out                  r = max(x, 0),   alpha = dt / tau,   xi ~ N(0, 1)

Shapes: B trials, T time steps, N hidden units, I inputs (clicks, context cue), O outputs.
"""

import inspect
import math
import os

import torch
from torch import nn

from zrnn.network.checkpoints import ModelError, read_checkpoint
from zrnn.network.devices import pick_device
from zrnn.network.recurrence import Sequence, advance
from zrnn.workshop import configuration, files


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


def load_network(config_path, checkpoint, device, flags):
    """The resolved configuration, the network on its device, and what made them, {name: text}.

    The configuration is that of `config_path` and `flags`, with the checkpoint's own model, task
    and training sections; checkpoint: as in `checkpoints.read_checkpoint`. Prints all of it. Raises
    ConfigError, ModelError.
    """
    path, content = read_checkpoint(checkpoint, configuration.load(config_path, flags))
    config = configuration.load(config_path, flags, content.get("config"))
    model = restore_model(content, **config["model"]).to(pick_device(device))
    made_by = files.provenance() | {
        "checkpoint": os.path.relpath(path),
        "sha256": content["sha256"],
    }
    made_by["device"] = str(model.w_hh.device)
    print(configuration.to_text(config, made_by))
    return config, model, made_by

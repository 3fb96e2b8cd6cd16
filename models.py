"""The ZemlianovaRNN and the vanilla RNN it is compared with.

Both are one leaky recurrence of N rate units, with two kinds of weights:

    x_t = (1 - alpha) x_{t-1} + alpha (W r_{t-1} + W_in u_t + b) + sqrt(2 alpha) sigma_rec xi_t
    z_t = W_out r_t + b_out                  r = max(x, 0),   alpha = dt / tau,   xi ~ N(0, 1)

Shapes: B trials, T time steps, N hidden units, I inputs (clicks, context cue), O outputs (a beat).

    model = load_network()                      # the shipped network; or a path of your own
    outputs, currents = model(inputs)           # (B, T, 2) -> (B, T, 1), (B, T, N)
"""

import inspect
import math
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from zrnn import checkpoints, configuration
from zrnn.devices import pick_device
from zrnn.errors import UserError
from zrnn.provenance import provenance
from zrnn.recurrence import Noise, Sequence, advance


class RNN(nn.Module):
    """Vanilla RNN: the leaky recurrence with unconstrained weights.

    At dt = tau it is the textbook ReLU network r_t = relu(W_in u_t + W r_{t-1} + b).

    dt, tau: integration step and membrane time constant [s]; vanilla_sigma_rec: SD of its
    recurrent noise, none by default.
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
        """Share of a unit's current that is renewed in one step: dt / tau."""
        return self.dt / self.tau

    @contextmanager
    def at(self, dt: float | None = None, noise_scale: float = 1.0):
        """The network with another step [s], its recurrent noise times noise_scale, for a while."""
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
        """Rest: currents x = 0, (B, N)."""
        return self.w_hh.new_zeros(batch_size, len(self.w_hh))

    def noisy_inputs(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Input noise, for training only: u -> max(u + sqrt(2 alpha) sigma_input eta, 0)."""
        if self.sigma_input == 0:
            return inputs
        eta = torch.empty_like(inputs).normal_(generator=generator)
        return (inputs + math.sqrt(2 * self.alpha) * self.sigma_input * eta).clamp_min(0)

    def noise_of(self, source) -> Noise | None:
        """The recurrent noise from a generator or from xi (T, B, N); None and a `Noise` stay."""
        if source is None or isinstance(source, Noise):
            return source
        return Noise(source, self.alpha, self.sigma_rec)

    def step(self, inputs: Tensor, state: Tensor, noise=None, w_hh=None) -> tuple[Tensor, Tensor]:
        """One time step: inputs (B, I), state x_{t-1} (B, N) -> outputs (B, O), state x_t (B, N).

        noise: a torch.Generator, or None; w_hh: `effective_w_hh()`, worked out once by callers
        that take many steps.
        """
        w_hh = self.effective_w_hh() if w_hh is None else w_hh
        drive = self.alpha * torch.addmm(self.b_hh, inputs, self.w_ih.t())
        if noise is not None:
            self.noise_of(noise).add(drive[None])
        state = advance(drive, state, w_hh, self.alpha)
        return torch.addmm(self.b_ho, state.relu(), self.w_ho.t()), state

    def forward(self, inputs: Tensor, state=None, noise=None) -> tuple[Tensor, Tensor]:
        """A sequence: inputs (B, T, I), state (B, N) -> outputs (B, T, O), currents x (B, T, N).

        state: x before the first step, rest if None; noise: None for a noise-free run, xi
        (B, T, N), a torch.Generator to draw xi from, or a `Noise`.
        """
        state = self.initial_state(len(inputs)) if state is None else state
        noise = self.noise_of(noise.transpose(0, 1) if torch.is_tensor(noise) else noise)
        weights = self.w_ih, self.effective_w_hh(), self.b_hh, self.w_ho, self.b_ho
        time_major = inputs.transpose(0, 1).contiguous()
        outputs, currents = Sequence.apply(time_major, state, noise, self.alpha, *weights)
        return outputs.transpose(0, 1), currents.transpose(0, 1)


class ZemlianovaRNN(RNN):
    """Excitatory-inhibitory network for rhythmic timing (Zemlianova, Bose & Rinzel, 2024).

    The first `excit_percent` (a share, 0..1) of the units are excitatory, the rest inhibitory.
    sigma_rec, sigma_input: SD of the recurrent and of the input noise.
    """

    # The original code's start, "rectified" (Xavier-normal of gain 0.1, negatives set to zero), has
    # the same row sums, but |.| has no gradient at 0: half of W could never train.
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
        signs[:, self.n_excit :] *= -1  # a unit's sign is its column: what it sends
        self.register_buffer("signs", signs, persistent=False)

    def effective_w_hh(self) -> Tensor:
        """Dale's law: |w_hh|, the columns of I units negated, no self-connection. (N, N)"""
        return self.w_hh.abs() * self.signs


MODELS = {"ZemlianovaRNN": ZemlianovaRNN, "RNN": RNN}


def build_model(type: str, generator: torch.Generator | None = None, **arguments) -> RNN:
    """A fresh network of the named type; `arguments` may hold more keys than its class takes."""
    names = inspect.signature(MODELS[type]).parameters
    own = {name: value for name, value in arguments.items() if name in names}
    model = MODELS[type](**own, generator=generator)
    model.arguments = own  # for its checkpoint
    return model


def restore_model(content: dict, **changes) -> RNN:
    """The network of a checkpoint's content, in eval mode, on the CPU. Raises UserError.

    changes: arguments that differ from the checkpoint's own. Those that the weights stand on (the
    type, the sizes, the share of E units) may not.
    """
    given = {"type": content["model_type"], **content["arguments"]}
    own = configuration.checked_arguments(given)
    for key in ("type", "input_dim", "hidden_dim", "output_dim", "excit_percent"):
        if key in given and key in changes and changes[key] != own[key]:
            made = f"allowed: {own[key]!r}, with which the checkpoint was trained"
            raise UserError(f"model.{key} is {changes[key]!r}; {made}; else python train.py")
    model = build_model(**own | changes)
    model.load_state_dict(checkpoints.check_weights(content["state_dict"], model.state_dict()))
    return model.eval()


def load_network(path=None, device: str = "cpu", **changes) -> RNN:
    """The network of a checkpoint, ready to run; the shipped one without a path. Raises UserError.

    changes: what the weights do not fix, such as dt=0.0005 [s] or sigma_rec=0.
    """
    section = configuration.load().model  # for a bare state dict, which says nothing of itself
    content = checkpoints.read_checkpoint(path or checkpoints.SHIPPED, section)[1]
    return restore_model(content, **changes).to(pick_device(device))


def open_network(config_path, checkpoint, device, flags):
    """What a script begins with: the configuration, the network on its device, what made them.

    The configuration is that of `config_path` and `flags`, with the checkpoint's model, task and
    training sections; a run with a name has its own network. Raises UserError.
    """
    plain = configuration.load(config_path, flags)
    if "name" in flags and checkpoint is None:
        checkpoint = plain.training.save_path
    path = checkpoints.find_checkpoint(checkpoint, plain.training.save_path)
    path, content = checkpoints.read_checkpoint(path, plain.model)
    config = configuration.load(config_path, flags, content.get("config"))
    print(f"network: {path}", configuration.changes_text(config), sep="\n")
    model = restore_model(content, **dict(config.model)).to(pick_device(device))
    made_by = provenance() | {"checkpoint": str(path), "sha256": content["sha256"]}
    return config, model, made_by | {"device": str(model.w_hh.device)}

"""Every configuration key, once: its name, type, bounds, unit, meaning and default.

`python -m zrnn.configuration > config.yaml` writes config.yaml from these classes.
"""

import math
import os
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Len
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat, model_validator

MAX_STEPS = 10_000_000  # largest number of time steps of one run; more would fill the memory


def _or_null(value):
    return None if isinstance(value, str) and value.lower() in ("null", "none") else value


def _path(value):
    if not str(value).strip() or not str(value).isprintable():
        raise ValueError("a path is a printable text that is not empty")
    # a shell does not expand --drive.folder=~/x
    return os.path.expanduser(value) if isinstance(value, str) else value


Path = Annotated[str, BeforeValidator(_path)]
Positive = Annotated[FiniteFloat, Gt(0), Le(1e6)]
NotNegative = Annotated[FiniteFloat, Ge(0)]
Fraction = Annotated[FiniteFloat, Ge(0), Le(1)]
Seconds = Positive
Periods = Annotated[list[Seconds], Len(1, 1000)]
Cue = Annotated[FiniteFloat, Ge(-100), Le(100)]
Cues = Annotated[list[Cue], Len(1, 30)]
Range = Annotated[list[Cue], Len(2, 2)]
OrNull = BeforeValidator(_or_null)
SecondsOrNull = Annotated[Seconds | None, OrNull]
NormOrNull = Annotated[Positive | None, OrNull]
RateOrNull = Annotated[Annotated[FiniteFloat, Gt(0), Le(10)] | None, OrNull]
FileOrNull = Annotated[str | None, OrNull]
Count = Annotated[int, Ge(1), Le(10_000_000)]
Runs = Annotated[int, Ge(1), Le(1000)]
Start = Literal["half-normal", "rectified"]


def key(default, meaning, **bounds):
    """A key of the configuration; bounds as in pydantic's Field: gt, ge, lt, le."""
    return Field(default, description=meaning, **bounds)


def seed_key(meaning):
    return key(0, meaning, ge=0, le=2**32 - 1)


class Section(BaseModel):
    """Keys that belong together. They are constant; model_copy(update=...) makes another."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    def __getitem__(self, name):
        return getattr(self, name)

    def keys(self):
        return type(self).model_fields.keys()


class Model(Section):
    """the network"""

    type: Literal["ZemlianovaRNN", "RNN"] = key("ZemlianovaRNN", "ZemlianovaRNN, or RNN (baseline)")
    input_dim: int = key(2, "inputs: clicks and context cue; always 2", ge=2, le=2)
    hidden_dim: int = key(500, "number of hidden units N", ge=2, le=20_000)
    output_dim: int = key(1, "outputs: the rhythm; always 1", ge=1, le=1)
    tau: FiniteFloat = key(0.01, "[s] time constant", ge=1e-6, le=10)
    dt: FiniteFloat = key(0.001, "[s] time step", ge=1e-6, le=10)
    sigma_rec: NotNegative = key(0.01, "SD of the recurrent noise (ZemlianovaRNN only)")
    vanilla_sigma_rec: NotNegative = key(0.0, "SD of the recurrent noise (RNN only)")
    sigma_input: NotNegative = key(0.01, "SD of the input noise in training (ZemlianovaRNN only)")
    excit_percent: Fraction = key(0.8, "fraction of excitatory units (ZemlianovaRNN only)")
    w_hh_start: Start = key("half-normal", "initial w_hh; rectified: half of the synapses stay 0")

    @model_validator(mode="after")
    def _step(self):
        if self.dt > self.tau:
            raise ValueError(f"model.dt is {self.dt:g} s; allowed: at most model.tau")
        return self


class Task(Section):
    """the trials"""

    cue_constant: FiniteFloat = key(0.1, "[s] context cue = cue_constant / period", gt=0, le=100)
    click_width: Seconds = key(0.01, "[s] width of a click")
    max_onset: NotNegative = key(0.1, "[s] the trial onset T0 is uniform in 0 to max_onset")


class Training(Section):
    """training of a network"""

    periods: Periods = key(
        [0.5, 0.333, 0.25, 0.2, 0.166, 0.143, 0.125], "[s] trained periods, 2 to 8 Hz"
    )
    first_period: SecondsOrNull = key(0.125, "[s] shortest period at first; null: as in periods")
    dt: SecondsOrNull = key(None, "[s] time step of the descent; null: tau, or less for the click")
    epochs: Count = key(1400, "updates of the descent, each on a new batch")
    batch_size: int = key(14, "trials in a batch", ge=1, le=100_000)
    learning_rate: RateOrNull = key(None, "of Adam; null: 0.001 for 500 units, ~ 1 / sqrt(units)")
    final_rate: Fraction = key(0.06, "final learning rate / learning_rate (cosine decay)")
    noise_scale: NotNegative = key(1.0, "recurrent noise at the beginning and end, in sigma_rec")
    peak_noise_scale: NotNegative = key(3.0, "largest recurrent noise, in sigma_rec")
    noise_onset: Fraction = key(0.0, "fraction of the updates before the noise rises", lt=0.7)
    trial_seconds: Seconds = key(2.0, "[s] length of a trial")
    click_seconds: NotNegative = key(1.0, "[s] duration of the clicks, from the trial onset")
    warm_up: int = key(100, "first updates, at half the rate; at most a tenth of epochs", ge=0)
    adam_beta2: FiniteFloat = key(0.99, "Adam's decay rate of squared gradients", ge=0, lt=1)
    noise_exponent: FiniteFloat = key(
        0.75, "noise of a trial ~ period^exponent, its weight ~ noise^2", ge=-10, le=10
    )
    antithetic: bool = key(True, "recurrent noise in pairs xi, -xi within a batch")
    precision: Literal["float32", "bfloat16"] = key("bfloat16", "of the products in the descent")
    max_grad_norm: NormOrNull = key(1.0, "the gradient is clipped to this norm; null: not clipped")
    early_stopping_loss: NotNegative = key(0.0, "mean loss that ends the descent; 0: none")
    early_stopping_updates: Count = key(20, "updates in this mean loss")
    refine: bool = key(True, "after the descent, reduce the time step to model.dt")
    calibrate: bool = key(True, "at the end, correct the mean ITIs under noise")
    seed: int = seed_key("seed of weights, batches and noise")
    start: FileOrNull = key(None, "network to start from; null: random weights")
    save_path: Path = key("best_model.pth", "file of the trained network")
    save_seconds: NotNegative = key(30.0, "[s] between two saves of the state for --resume")
    log_path: Path = key("training_log.csv", "file of the losses and errors during training")


class Drive(Section):
    """drive_model_and_save_outputs.py"""

    folder: Path = key("model_outputs", "folder of outputs, taps, hidden states and pictures")
    discard_seconds: NotNegative = key(2.0, "[s] start of the run, with clicks; not saved")
    keep_seconds: Seconds = key(50.0, "[s] after these, with the cue alone; saved")
    clicks: bool = key(True, "false: no clicks, the cue alone")
    onset: NotNegative = key(0.05, "[s] onset T0 of clicks and cue")
    onsets: FileOrNull = key(None, "onsets [s], one a line, or CSV with onset_s, cue; null: none")
    periods: Annotated[list[Seconds], Len(0, 1000)] = key([], "[s] additional untrained periods")
    extra_periods: int = key(100, "number of untrained periods drawn at random", ge=0, le=500)
    hidden_states: Literal["trained", "all", "none"] = key(
        "trained", "periods with saved hidden states (100 MB each): trained, all or none"
    )
    sound: bool = key(False, "true: also beat_{p}.wav, in which clicks and taps can be heard")
    seed: int = seed_key("seed of the extra periods and of the recurrent noise")


class Check(Section):
    """evaluation at the end of train.py; run lengths and onset: see drive"""

    enable: bool = key(True, "false: no evaluation")
    noise_runs: Runs = key(10, "runs at each trained period with clicks, and as many without")
    untrained_periods: int = key(40, "number of untrained periods, log-spaced", ge=0, le=1000)
    untrained_runs: Runs = key(4, "runs at each untrained period")
    max_error: Positive = key(0.003, "largest error of the mean ITI at trained periods, a fraction")
    max_untrained_error: Positive = key(0.005, "the same at untrained periods")
    max_cv: Positive = key(0.019, "largest CV of the ITIs at trained periods")
    seed: int = seed_key("seed of the recurrent noise")


class Fig1(Section):
    """plot_fig1.py"""

    folder: Path = key("fig1_plotting", "folder of figure 1")
    window_seconds: Seconds = key(1.0, "[s] shown in the firing-rate pictures")
    trajectory_seconds: Seconds = key(3.0, "[s] of each trajectory in the PCA panel")


class Fig3(Section):
    """plot_fig3.py: the reduced model"""

    folder: Path = key("fig3_plotting", "folder of figure 3")
    time_cues: Annotated[list[Cue], Len(3, 3)] = key(
        [-1.0, 0.5, 1.8], "cues of the activity against time"
    )
    cycle_cues: Cues = key([0.197, 0.3, 0.5, 0.8, 1.2], "cues of the limit cycles in the x-z plane")


class Fig5(Section):
    """plot_fig5.py: flow of the network in a plane"""

    folder: Path = key("fig5_plotting", "folder of figure 5")
    cues: Cues = key([-0.5, -0.2, 0.1, 1.0, 1.5, 2.0], "cues of figure 5a")
    times: Annotated[list[Annotated[FiniteFloat, Gt(0), Le(10)]], Len(1, 30)] = key(
        [0.04, 0.09, 0.18], "[s] times of figure 5b"
    )
    grid: int = key(64, "grid points along each side; the original code has 128", ge=2, le=512)
    span: Positive = key(5.0, "half width of the field, in the PCs")
    field_seconds: Seconds = key(0.5, "[s] time of the fields in figure 5a")
    seed: int = seed_key("seed of the initial condition")


class CueRange(Section):
    """plot_cue_range.py"""

    folder: Path = key("cue_range_plotting", "folder of the picture of ITI against cue")
    cues: Annotated[list[Annotated[FiniteFloat, Gt(0), Le(100)]], Len(2, 2)] = key(
        [0.05, 1.3], "range of the cues, beyond the trained 0.2 to 0.8"
    )
    n_cues: int = key(126, "number of cues, evenly spaced", ge=2, le=10_000)
    keep_seconds: Seconds = key(20.0, "[s] evaluated of each run, after 2 s", ge=1)


class Bifurcation(Section):
    """plot_bifurcation.py: equilibria and limit cycle of a trained network"""

    folder: Path = key("bifurcation_plotting", "folder of the diagram and its numbers")
    cues: Range = key([-1.0, 2.0], "range of the equilibria")
    n_cycles: int = key(121, "number of cues at which the limit cycle is computed", ge=2, le=10_000)


class Groups(Section):
    """plot_groups.py: groups of units, and lesions"""

    folder: Path = key("groups_plotting", "folder of pictures and numbers of groups and lesions")
    lesion_seconds: Seconds = key(6.0, "[s] evaluated of a run with a lesion, after 2 s", ge=1)
    draws: Runs = key(3, "runs of each lesion, with other random units and noise")
    seed: int = seed_key("seed of the random units and of the recurrent noise")


class Synchronization(Section):
    """plot_synchronization.py: the network with a metronome"""

    folder: Path = key("synchronization_plotting", "folder of the pictures and numbers")
    noise_runs: Runs = key(8, "runs of each condition, with different noise")
    gain: Fraction = key(0.5, "fraction of an asynchrony that corrects the adaptive cue")
    seed: int = seed_key("seed of the recurrent noise")


class Plotting(Section):
    """pictures"""

    enable: bool = key(True, "pictures of the outputs in train.py and in every drive")
    folder: Path = key("plots", "folder of the pictures of train.py")
    format: Literal["png", "pdf"] = key("png", "file format of every picture: png or pdf")


class Config(Section):
    """The whole configuration: config.model.dt."""

    model: Model = Model()
    task: Task = Task()
    training: Training = Training()
    drive: Drive = Drive()
    check: Check = Check()
    fig1: Fig1 = Fig1()
    fig3: Fig3 = Fig3()
    fig5: Fig5 = Fig5()
    cue_range: CueRange = CueRange()
    bifurcation: Bifurcation = Bifurcation()
    groups: Groups = Groups()
    synchronization: Synchronization = Synchronization()
    plotting: Plotting = Plotting()

    @model_validator(mode="after")
    def _together(self):
        """Refuses keys that do not fit together."""
        model, task, drive, periods = self.model, self.task, self.drive, self.training.periods
        wrong = []
        if model.dt > task.click_width:
            wrong.append(f"model.dt is {model.dt:g} s; allowed: at most task.click_width")
        for name, some in (("training", periods), ("drive", drive.periods)):
            if min(some, default=math.inf) < 2 * task.click_width:
                wrong.append(f"{name}.periods has {min(some):g} s: at least 2 task.click_width")
            if len(set(some)) < len(some):
                wrong.append(f"{name}.periods: each period once")
        if drive.onset > drive.discard_seconds:
            wrong.append(f"drive.onset is {drive.onset:g} s: at most drive.discard_seconds")
        if drive.keep_seconds < 2 * max(periods):
            wrong.append(
                f"drive.keep_seconds: at least 2 max(training.periods), {2 * max(periods):g} s"
            )
        for name in ("cue_range", "bifurcation"):
            if self[name].cues[0] >= self[name].cues[1]:
                wrong.append(f"{name}.cues is {self[name].cues}; allowed: the lower one first")
        for key in KEYS:
            section, name = key.split(".")
            is_run = name.endswith("_seconds") and name != "save_seconds"
            seconds = self[section][name] if is_run else 0.0
            if seconds / model.dt > MAX_STEPS or 0 < seconds < model.dt and section != "training":
                wrong.append(f"{key} is {seconds:g} s: 1 to {MAX_STEPS} steps of model.dt")
        if min(self.fig5.times) < model.dt:
            wrong.append("fig5.times: at least model.dt")
        if wrong:
            raise ValueError("\n".join(wrong))
        return self


class NetworkAlone(Section):
    """The section that describes a network, without the others."""

    model: Model


SECTIONS = {name: field.annotation for name, field in Config.model_fields.items()}
KEYS = {
    f"{section}.{name}": field
    for section, fields in SECTIONS.items()
    for name, field in fields.model_fields.items()
}
PATHS = [name for name, field in KEYS.items() if field.annotation is str]
TEXTS = [*PATHS, "training.start", "drive.onsets"]  # keys whose values are taken as typed

"""Every key that a user may change, once: name, type, bounds, unit, meaning and default.

python -m zrnn.configuration > config.yaml        writes them all down
"""

import math
import numbers
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Len
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _number(value):
    """A finite float. YAML reads 1e-3 as text, so text that is a number is one."""
    if isinstance(value, bool) or not isinstance(value, (str, numbers.Real)):
        raise ValueError
    try:
        value = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        raise ValueError from None
    if not math.isfinite(value):
        raise ValueError
    return value


def _whole(value):
    if _number(value) != int(_number(value)):
        raise ValueError
    return value if isinstance(value, int) else int(_number(value))


def _flag(value):
    """true or false, and nothing that merely counts as such."""
    known = {"true": True, "false": False}
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    if not isinstance(value, bool):
        raise ValueError
    return value


def _path(value):
    if isinstance(value, int) and not isinstance(value, bool):  # a folder called 2024
        value = str(value)
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError
    return value


def _or_null(value):
    return None if isinstance(value, str) and value.lower() in ("null", "none") else value


Number = Annotated[float, BeforeValidator(_number)]
Whole = Annotated[int, BeforeValidator(_whole)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Path = Annotated[str, BeforeValidator(_path)]
Seconds = Annotated[Number, Gt(0), Le(1e6)]
Cue = Annotated[Number, Ge(-100), Le(100)]
Many = Len(1, 1000)
Two = Len(2, 2)


def key(default, meaning, **bounds):
    """A key of the configuration; bounds as in pydantic's Field: gt, ge, le."""
    return Field(default, description=meaning, **bounds)


def seed_key(meaning):
    return key(0, meaning, ge=0, le=2**32 - 1)


class Section(BaseModel):
    """Keys that belong together. They cannot be changed; model_copy(update=...) makes another."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __getitem__(self, name):
        return getattr(self, name)

    def keys(self):
        return type(self).model_fields.keys()


class Model(Section):
    """the network"""

    type: Literal["ZemlianovaRNN", "RNN"] = key(
        "ZemlianovaRNN", "ZemlianovaRNN (E and I units, Dale's law, noise) or RNN (baseline)"
    )
    input_dim: Whole = key(2, "inputs: clicks and context cue; always 2", ge=2, le=2)
    hidden_dim: Whole = key(500, "hidden units N", ge=2, le=20_000)
    output_dim: Whole = key(1, "outputs: the beat; always 1", ge=1, le=1)
    tau: Number = key(0.01, "[s] membrane time constant", ge=1e-6, le=10)
    dt: Number = key(0.001, "[s] integration step", ge=1e-6, le=10)
    sigma_rec: Number = key(0.01, "SD of the recurrent noise (ZemlianovaRNN only)", ge=0)
    vanilla_sigma_rec: Number = key(0.0, "the same for the vanilla RNN", ge=0)
    sigma_input: Number = key(
        0.01, "SD of the input noise, in training only (ZemlianovaRNN only)", ge=0
    )
    excit_percent: Number = key(
        0.8, "share of excitatory units, 0..1 (ZemlianovaRNN only)", ge=0, le=1
    )
    w_hh_start: Literal["half-normal", "rectified"] = key(
        "half-normal", "initial w_hh: half-normal, or rectified (half of it 0, never trained)"
    )


class Task(Section):
    """the trials"""

    cue_constant: Number = key(0.1, "[s] context cue = cue_constant / period", gt=0, le=100)
    click_width: Seconds = key(0.01, "[s] width of a click")
    max_onset: Number = key(
        0.1, "[s] the trial's onset T0 is uniform in 0..max_onset", ge=0, le=100
    )


class Training(Section):
    """how the network is trained"""

    periods: Annotated[list[Seconds], Many] = key(
        [0.5, 0.333, 0.25, 0.2, 0.166, 0.143, 0.125], "[s] trained periods, 2 to 8 Hz"
    )
    dt: Annotated[Seconds | None, BeforeValidator(_or_null)] = key(
        None, "[s] step of the descent; null: tau, or less to divide a click"
    )
    epochs: Whole = key(
        1400, "updates of the descent; every one draws a fresh batch", ge=1, le=10_000_000
    )
    batch_size: Whole = key(14, "trials in a batch", ge=1, le=100_000)
    learning_rate: Number = key(1e-3, "of Adam", gt=0)
    final_rate: Number = key(0.06, "share of it at the last update (cosine decay)", ge=0, le=1)
    noise_scale: Number = key(1.0, "recurrent noise at first and in the end, times sigma_rec", ge=0)
    peak_noise_scale: Number = key(3.0, "the same at its most, later in the descent", ge=0)
    trial_seconds: Seconds = key(2.0, "[s] length of a trial")
    click_seconds: Number = key(
        1.0, "[s] how long clicks are given, from the onset on", ge=0, le=1e6
    )
    warm_up: Whole = key(100, "first updates, at half the learning rate", ge=0, le=10_000_000)
    adam_beta2: Number = key(0.99, "of Adam: decay of the mean squared gradient", ge=0, lt=1)
    noise_exponent: Number = key(
        0.75, "noise of a trial ~ period^exponent, its weight ~ noise^2", ge=-10, le=10
    )
    antithetic: Flag = key(True, "recurrent noise in pairs xi, -xi within a batch")
    precision: Literal["float32", "bfloat16"] = key(
        "bfloat16", "of the descent's matrix products where that is faster"
    )
    max_grad_norm: Annotated[Number | None, BeforeValidator(_or_null)] = key(
        1.0, "the gradient is clipped to this norm; null: not clipped", gt=0
    )
    early_stopping_loss: Number = key(
        0.0, "the descent ends when its mean loss is below this; 0: never", ge=0
    )
    early_stopping_updates: Whole = key(
        20, "updates over whose losses this mean is taken", ge=1, le=10_000_000
    )
    refine: Flag = key(True, "carry the network from training.dt to model.dt")
    calibrate: Flag = key(True, "set the periods right under noise at the end")
    seed: Whole = seed_key("of weights, batches and noise")
    save_path: Path = key("best_model.pth", "the trained network")
    save_seconds: Number = key(
        30.0, "[s] of work between two saves of the state that --resume goes on from", ge=0, le=1e9
    )
    log_path: Path = key("training_log.csv", "every update and look: loss or error")


class Drive(Section):
    """drive_model_and_save_outputs.py"""

    folder: Path = key("model_outputs", "where outputs, taps, hidden states and pictures go")
    discard_seconds: Number = key(
        2.0, "[s] start of the run, thrown away; clicks are given during it", ge=0, le=1e6
    )
    keep_seconds: Seconds = key(50.0, "[s] cue alone, kept")
    clicks: Flag = key(True, "false: the cue alone from the start")
    onset: Number = key(0.05, "[s] onset T0 of clicks and cue", ge=0, le=1e6)
    extra_periods: Whole = key(100, "number of periods never trained", ge=0, le=500)
    hidden_states: Literal["trained", "all", "none"] = key(
        "trained", "which hidden states are kept: trained, all or none (100 MB a period)"
    )
    sound: Flag = key(False, "also beat_{p}.wav, clicks and taps to listen to")
    seed: Whole = seed_key("of the extra periods and of the recurrent noise")


class Check(Section):
    """how train.py judges the network it made, driven as drive says"""

    enable: Flag = key(True, "drive and judge at the end of train.py")
    noise_runs: Whole = key(
        10, "runs of each trained period with clicks, and as many without", ge=1, le=1000
    )
    untrained_periods: Whole = key(
        40, "periods never trained, between the trained ones, log-spaced", ge=0, le=1000
    )
    untrained_runs: Whole = key(4, "runs with different noise at each of them", ge=1, le=1000)
    max_error: Number = key(
        0.003, "largest error of the mean ITI at a trained period, share of the period", gt=0
    )
    max_untrained_error: Number = key(
        0.005, "largest error of the mean ITI at a period never trained", gt=0
    )
    max_cv: Number = key(0.019, "largest CV of the ITIs at a trained period", gt=0)
    seed: Whole = seed_key("of the recurrent noise")


class Fig1(Section):
    """plot_fig1.py"""

    folder: Path = key("fig1_plotting", "where figure 1 goes")
    window_seconds: Seconds = key(1.0, "[s] shown in the firing-rate pictures")
    trajectory_seconds: Seconds = key(3.0, "[s] of each trajectory drawn in the PCA panel")


class Fig3(Section):
    """plot_fig3.py: the reduced model"""

    folder: Path = key("fig3_plotting", "where figure 3 goes")
    time_cues: Annotated[list[Cue], Len(3, 3)] = key(
        [-1.0, 0.5, 1.8], "cues of the activity against time"
    )
    cycle_cues: Annotated[list[Cue], Len(1, 20)] = key(
        [0.197, 0.3, 0.5, 0.8, 1.2], "cues of the limit cycles drawn in the x-z plane"
    )


class Fig5(Section):
    """plot_fig5.py: the flow of the network in a plane"""

    folder: Path = key("fig5_plotting", "where figure 5 goes")
    cues: Annotated[list[Cue], Len(1, 30)] = key(
        [-0.5, -0.2, 0.1, 1.0, 1.5, 2.0], "cues of figure 5a"
    )
    times: Annotated[list[Seconds], Len(1, 30)] = key([0.04, 0.09, 0.18], "[s] times of figure 5b")
    grid: Whole = key(128, "points along each side of the field", ge=2, le=512)
    span: Number = key(5.0, "the field reaches this far from its centre, in the PCs", gt=0, le=1e6)
    field_seconds: Seconds = key(0.5, "[s] time of the fields in figure 5a")
    seed: Whole = seed_key("of the initial condition")


class CueRange(Section):
    """plot_cue_range.py"""

    folder: Path = key("cue_range_plotting", "where the picture of ITI against cue goes")
    cues: Annotated[list[Annotated[Number, Gt(0), Le(100)]], Two] = key(
        [0.05, 1.3], "range of the cues, below and above the trained 0.2 to 0.8"
    )
    n_cues: Whole = key(126, "number of cues, evenly spaced", ge=2, le=10_000)
    keep_seconds: Seconds = key(20.0, "[s] kept of each run, after 2 s", ge=1)


class Bifurcation(Section):
    """plot_bifurcation.py: equilibria and cycle of a trained network"""

    folder: Path = key("bifurcation_plotting", "where the diagram and its numbers go")
    cues: Annotated[list[Cue], Two] = key([-1.0, 2.0], "range of the equilibria")
    n_cycles: Whole = key(121, "number of cues at which the cycle is found", ge=2, le=10_000)


class Groups(Section):
    """plot_groups.py: tap and inter-tap units, and the network without them"""

    folder: Path = key("groups_plotting", "where pictures and numbers of groups and lesions go")
    lesion_seconds: Seconds = key(
        6.0, "[s] kept of each run with a lesion, after 2 s of clicks", ge=1
    )
    draws: Whole = key(3, "runs of each lesion; what is random in it is drawn anew", ge=1, le=1000)
    seed: Whole = seed_key("of the draws and of the recurrent noise")


class Synchronization(Section):
    """plot_synchronization.py: the network with the clicks of a metronome"""

    folder: Path = key("synchronization_plotting", "where its pictures and numbers go")
    noise_runs: Whole = key(8, "runs with different noise of each condition", ge=1, le=1000)
    gain: Number = key(
        0.5, "share of an asynchrony by which a cue that listens changes its period", ge=0, le=1
    )
    seed: Whole = seed_key("of the recurrent noise")


class Plotting(Section):
    """pictures"""

    enable: Flag = key(True, "draw pictures of the outputs in train.py and of every drive")
    folder: Path = key("plots", "where those of train.py go")
    format: Literal["png", "pdf"] = key("png", "png or pdf, for every picture of the project")


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


SECTIONS = {name: field.annotation for name, field in Config.model_fields.items()}
KEYS = {
    f"{section}.{name}": field
    for section, fields in SECTIONS.items()
    for name, field in fields.model_fields.items()
}
PATHS = [name for name, field in KEYS.items() if field.annotation is str]

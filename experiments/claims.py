"""The claims of the score card: what each is measured by, and whether a network meets it.

A claim's measure takes what it needs of a `Network` and gives numbers; its answer is "yes", "in
part" or "no" by a criterion on these numbers.
Shapes: B tempos, from slow to fast, T time steps, P phases of a cycle, N units.
"""

from functools import cached_property

import numpy as np
import torch

from experiments import reduced_fit, score
from models import load_network
from zrnn import activity, configuration, evaluate, simulate, task
from zrnn.dynamics import network_diagram
from zrnn.dynamics.cycle_continuation import read_cycle
from zrnn.populations import inhibition_timing
from zrnn.taps import find_taps

SEED = 0
# Runs with noise
RUNS, KEEP_SECONDS = 3, 20.0  # runs of each trained tempo, and length of the silence
N_BETWEEN = 12  # untrained tempos between the trained ones
BEYOND = 1.05, 1.1, 1.2  # the cue outside the trained range, by factors
SHIFT_SECONDS = 30.0  # of a run that measures how noise shifts the period,
SHIFT_RUNS = 6  # of which the slowest tempo has so many, others fewer, by their number of taps
NOISE_FACTOR = np.sqrt(2)  # the shift is measured at noise / this and noise x this
# Runs without noise
RUN_SECONDS, CLICK_SECONDS = 4.0, 1.0
TIMED = 0, 3, -1  # tempos at which inhibition is timed: slowest, middle, fastest
# Bifurcation diagram; with more cycles the answers are the same
CUES, N_CYCLES = (-1.0, 2.0), 5
# Fit of the reduced model
FIT_SECONDS = 0.9  # of a tempo, to which the reduced model is fitted
MODEL_CUES = np.linspace(-0.5, 2.0, 101)  # at which the fitted model is run,
MODEL_SECONDS = 6.0  # for so long
# Criteria
MAX_ERROR = 0.05  # of a mean ITI, as a fraction; the original code's published plot has 4.5 %
MIN_COVERAGE, MIN_ORDER = 0.9, 0.8
MIN_SIMILARITY, MIN_ORDERED = 0.8, 0.9
MAX_END_AMPLITUDE = 0.05  # of the last cycle before a Hopf point, as a fraction of the largest
MAX_HOPF_DISTANCE = 0.04  # in the cue, of the last cycle that is found from a Hopf point
MAX_LAG, MIN_CORRELATION, MIN_BEYOND = 0.03, 0.95, 0.2  # of the two inhibitory groups
MAX_PERIOD_ERROR = 0.1  # of the fitted model
MAX_UNEXPLAINED = 0.003  # of the error of an ITI, as a fraction of the period


def graded(*met) -> str:
    """yes if all are met, no if none is, else in part."""
    return "yes" if all(met) else "in part" if any(met) else "no"


class Network:
    """A network and what is recorded of it, each when a claim first asks for it."""

    def __init__(self, path):
        config = configuration.load()
        self.model, self.task = load_network(path), config.task
        self.periods = np.array(sorted(config.training.periods, reverse=True))
        self.cues = task.context_cue(self.periods, self.task.cue_constant)

    @cached_property
    def others(self) -> list[float]:
        """Untrained periods [s]: between the trained ones, and at cues beyond their range."""
        between = evaluate.untrained_periods(self.periods.tolist(), N_BETWEEN)
        slow, fast = self.periods[[0, -1]]
        return [*between, *(slow * f for f in BEYOND), *(fast / f for f in BEYOND)]

    @cached_property
    def statistics(self) -> list[evaluate.PeriodStatistics]:
        """Runs with noise: clicks, then silence."""
        trained, options = self.periods.tolist(), {"runs": RUNS, "keep_seconds": KEEP_SECONDS}
        return evaluate.period_statistics(
            self.model, trained, self.task, others=self.others, seed=SEED, **options
        )

    @cached_property
    def shifts(self) -> dict[float, np.ndarray]:
        """Error of the mean ITI, a fraction (B,), by noise: 0, and factors of sigma_rec."""
        factors = 0.0, 1 / NOISE_FACTOR, 1.0, NOISE_FACTOR
        n_runs = np.maximum(np.round(SHIFT_RUNS * self.periods / self.periods[0]), 2).astype(int)
        plan = [(f, b) for f in factors for b, n in enumerate(n_runs) for _ in range(n if f else 1)]
        noise = self.model.noise(
            torch.Generator().manual_seed(SEED + 1), trial_scale=torch.tensor([f for f, _ in plan])
        )
        periods = self.periods[[b for _, b in plan]]
        inputs = simulate.driving_inputs(
            periods, SHIFT_SECONDS, self.model.dt, self.task, CLICK_SECONDS
        )
        outputs = simulate.run(self.model, inputs, noise).outputs
        itis = {key: [] for key in plan}
        for key, output in zip(plan, outputs, strict=True):
            taps = find_taps(output, self.model.dt) * self.model.dt
            itis[key] += np.diff(taps[taps > 2 * CLICK_SECONDS]).tolist()
        means = {key: np.mean(some) if some else np.nan for key, some in itis.items()}
        mean_itis = {f: np.array([means[f, b] for b in range(len(n_runs))]) for f in factors}
        return {f: some / self.periods - 1 for f, some in mean_itis.items()}

    @cached_property
    def recordings(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Currents (T, N) in silence without noise, and taps (K,) [samples], a pair a tempo.

        From the first tap on. Raises ValueError where a tempo has fewer than three taps.
        """
        inputs = simulate.driving_inputs(
            self.periods, RUN_SECONDS, self.model.dt, self.task, CLICK_SECONDS
        )
        run, found = simulate.run(self.model, inputs, keep_states=True), []
        for output, states in zip(run.outputs, run.states, strict=True):
            taps = find_taps(output, self.model.dt)
            taps = np.round(taps[taps > 1.5 * CLICK_SECONDS / self.model.dt]).astype(int)
            if len(taps) < 3:
                raise ValueError("no cycle at a trained tempo without noise")
            found.append((states[taps[0] : taps[-1] + 1].astype(float), taps - taps[0]))
        return found

    @cached_property
    def cycles(self) -> np.ndarray:
        """Rates (B, P, N) from tap to tap, noise-free."""
        return np.array(
            [activity.mean_cycle(np.maximum(x, 0), taps) for x, taps in self.recordings]
        )

    @cached_property
    def diagram(self):
        """The `Diagram` of its equilibria and its cycle."""
        return network_diagram.solve(self.model, CUES, N_CYCLES, float(self.cues[TIMED[1]]))[0]

    @property
    def is_excit(self) -> np.ndarray:
        return np.arange(len(self.model.w_hh)) < self.model.n_excit


def keeps_tempos(statistics) -> dict:
    """Claim 1: worst error and CV of the ITIs at trained tempos, taps missed and extra."""
    clicks = evaluate.of_condition(statistics, evaluate.CLICKS)
    return {
        "error": np.max([abs(one.error) for one in clicks]),
        "cv": np.max([one.cv for one in clicks]),
        "lost": sum(one.missed + one.extra + one.runs - one.beats for one in clicks),
    }


def cue_sets_tempo(statistics, trained) -> dict:
    """Claim 2: untrained cues with a beat and in order, between and beyond those of trained (B,)

    in_order: the mean ITI falls from each cue to the next, all cues with a beat together.
    """
    by_period = {one.period: one for one in statistics if one.condition != evaluate.REST}
    low, high = min(trained), max(trained)
    others = evaluate.of_condition(statistics, evaluate.UNTRAINED)
    beats = {p: one.beats == one.runs and not one.missed for p, one in by_period.items()}
    itis = [by_period[p].mean_iti for p in sorted(by_period) if beats[p]]
    between = [one for one in others if low < one.period < high]
    beyond = [beats[one.period] for one in others if not low <= one.period <= high]
    return {
        "between": np.mean([beats[one.period] for one in between]),
        "beyond": np.mean(beyond),
        "in_order": np.mean(np.diff(itis) > 0) if len(itis) > 1 else 0.0,
        "error": np.max([abs(one.error) for one in between]),
    }


def fires_in_sequence(cycles, is_excit) -> dict:
    """Claim 3: `score.sequence` of E and I units that are active at every tempo."""
    active, rng = (
        (cycles.max(axis=1) > inhibition_timing.ACTIVE_RATE).all(axis=0),
        np.random.default_rng(SEED),
    )
    numbers = {}
    for name, units in (("e", active & is_excit), ("i", active & ~is_excit)):
        found = score.sequence(cycles[:, :, units], rng)
        numbers |= {f"{name}_{key}": value for key, value in found.items()}
    return numbers


def begins_on_circle(diagram) -> dict:
    """Claim 5: cue of the fold at which the cycle begins; whether the manifold closes a circle."""
    fold, manifold = diagram.fold, diagram.manifold
    return {
        "cue": np.nan if fold is None else fold.p,
        "fold": fold is not None,
        "circle": manifold is not None and manifold.closes,
    }


def ends_at_hopf(diagram) -> dict:
    """Claim 6: cue of the end and of the nearest Hopf point, amplitude there; coarse, fine steps"""
    numbers = {}
    for name, end in zip(("coarse", "fine"), [*diagram.ends, None, None], strict=False):
        numbers |= {
            f"{name}_end": end.last if end else np.nan,
            f"{name}_hopf": end.hopf if end else np.nan,
            f"{name}_amplitude": end.amplitude if end else np.nan,
            f"{name}_met": end is not None
            and end.last <= end.hopf <= end.first_without
            and end.amplitude < MAX_END_AMPLITUDE,
            f"{name}_near": end is not None and abs(end.last - end.hopf) <= MAX_HOPF_DISTANCE,
        }
    return numbers


def two_groups(recordings, cycles, is_excit) -> dict:
    """Claim 7: lag behind E and correlation with it of the I units within a quarter of a cycle.

    Beside them those beyond it, and the split of all into two clusters of lags and its silhouette.
    Of each number a list over the tempos.
    """
    rng, lists = np.random.default_rng(SEED), {}
    for (currents, taps), cycle in zip(recordings, cycles, strict=True):
        rates = np.maximum(currents[: taps[-1]], 0)
        described = inhibition_timing.describe_timing(rates, len(taps) - 1, is_excit)
        inhib = ~is_excit & (rates.max(axis=0) > inhibition_timing.ACTIVE_RATE)
        lags = inhibition_timing.lags_to(cycle[:, inhib], cycle[:, is_excit].sum(axis=1))
        row = {
            "beyond": described["I"]["fraction_of_units_beyond"],
            "silhouette": score.silhouette(lags),
            "continuum": score.continuum_silhouette(lags, rng),
        }
        groups = ("near", "within"), ("far", "beyond"), ("cluster", "2-means, nearer")
        for name, group in groups:
            found = described["I_groups"].get(group, {})
            row[f"{name}_lag"] = abs(found.get("lag", np.nan))
            row[f"{name}_correlation"] = found.get("correlation", np.nan)
        for key, value in row.items():
            lists.setdefault(key, []).append(value)
    return lists


def group_means(recordings, masks, dt) -> tuple[list, list]:
    """Mean currents and mean rates (T, G) of groups of units, masks (N,), at each tempo."""
    s, rates = [], []
    for x, _ in recordings:
        x = x[: round(FIT_SECONDS / dt)]
        s.append(np.stack([x[:, mask].mean(axis=1) for mask in masks], axis=1))
        rates.append(np.stack([np.maximum(x[:, mask], 0).mean(axis=1) for mask in masks], axis=1))
    return s, rates


def fits_reduced_model(recordings, cycles, is_excit, cues, dt) -> dict:
    """Claim 8: the fitted E-I-I model's periods beside the network's, and its range of cues.

    Groups, by lag at the middle tempo: E and I within a quarter of a cycle of E, I beyond it.
    explained_with_e: of the currents' changes, if E beyond it is a fourth group.
    """
    middle = cycles[len(cycles) // 2]
    lags = inhibition_timing.lags_to(middle, middle[:, is_excit].sum(axis=1))
    within = np.abs(lags) <= inhibition_timing.BEYOND
    active = middle.max(axis=0) > inhibition_timing.ACTIVE_RATE
    tap_e, tap_i = active & is_excit & within, active & ~is_excit & within
    masks = [tap_e, tap_i, active & ~is_excit & ~within, active & is_excit & ~within]
    sizes, signs = [int(mask.sum()) for mask in masks], np.array([1, -1, -1, 1])
    numbers = {"sizes": sizes, "oscillating": 0.0, "period_error": np.nan}
    if min(sizes[:3]) == 0:
        return numbers
    s, rates = group_means(recordings, masks[:3], dt)
    model, explained = reduced_fit.fit(s, rates, cues, signs[:3], dt)
    if sizes[3]:
        four = reduced_fit.fit_currents(*group_means(recordings, masks, dt), cues, signs, dt)
        explained["explained_with_e"] = four[-1]
    cycles_of_model = model_cycles(model, np.array([x[0] for x in s]), cues, dt)
    periods = np.array([cycle.period if cycle else np.nan for cycle in cycles_of_model])
    at_trained = periods[: len(cues)]
    of_network = np.array([taps[-1] / (len(taps) - 1) * dt for _, taps in recordings])
    error = np.abs(at_trained / of_network - 1)
    known = error[np.isfinite(error)]
    beating = [cycle.cue for cycle in cycles_of_model[len(cues) :] if cycle]
    numbers |= explained
    numbers["oscillating"] = len(known) / len(error)
    numbers["period_error"] = np.median(known) if len(known) else np.nan
    numbers["worst_period_error"] = np.max(error)
    numbers |= {"onset": min(beating, default=np.nan), "end": max(beating, default=np.nan)}
    return numbers | {"periods": at_trained, "network_periods": of_network, "model": vars(model)}


def model_cycles(model, starts, cues, dt) -> list:
    """Cycles of a reduced model, or None, at cues (C,) and at MODEL_CUES; from starts (C, G)."""
    all_cues = np.concatenate([cues, MODEL_CUES])
    nearest = np.abs(np.subtract.outer(all_cues, cues)).argmin(axis=1)
    outputs = model.run(starts[nearest], all_cues, round(MODEL_SECONDS / dt), dt)[..., 0].T
    return [read_cycle(cue, x[len(x) // 3 :], dt) for cue, x in zip(all_cues, outputs, strict=True)]


def explains_error(shifts: dict) -> dict:
    """Claim 9: noise-free error, predicted shift by noise, their sum beside the measured error."""
    free, measured = shifts[0.0], shifts[1.0]
    less, more = (shifts[f] - free for f in (1 / NOISE_FACTOR, NOISE_FACTOR))
    shift = score.extrapolated_shift(less, more, NOISE_FACTOR)
    rest = np.abs(free + shift - measured)
    return {
        "noise_free": free,
        "shift": shift,
        "sum": free + shift,
        "measured": measured,
        "unexplained": rest.mean(),
        "worst_unexplained": rest.max(),
    }

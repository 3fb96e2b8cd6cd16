"""What the score card records of a network, each when a claim first asks for it.

Shapes: B tempos, from slow to fast, T time steps, P phases of a cycle, N units.
"""

from functools import cached_property

import numpy as np
import torch

from models import load_network
from zrnn import activity, configuration, evaluate, simulate, task
from zrnn.dynamics import network_diagram
from zrnn.dynamics.diagram import Diagram
from zrnn.taps import find_taps

SEED = 0
TIMED = 0, 3, -1  # tempos at which inhibition is timed: slowest, middle, fastest
# Runs with noise
RUNS, KEEP_SECONDS = 3, 20.0  # runs of each trained tempo, and length of the silence
N_BETWEEN = 12  # untrained tempos between the trained ones
BEYOND = 1.05, 1.1, 1.2  # the cue outside the trained range, by factors
SHIFT_SECONDS = 30.0  # length of a run that measures how noise shifts the period
SHIFT_RUNS = 6  # such runs at the slowest tempo; fewer at others, which have more taps
NOISE_FACTOR = np.sqrt(2)  # the shift is measured at noise / this and noise x this
# Runs without noise
RUN_SECONDS, CLICK_SECONDS = 4.0, 1.0
# Bifurcation diagram; with more cycles the answers are the same
CUES, N_CYCLES = (-1.0, 2.0), 5


class NoCycle(Exception):
    """A network has no cycle, or no units, of which a claim speaks."""


class Network:
    """A network at the trained periods (B,) [s] and their cues (B,)."""

    def __init__(self, path):
        config = configuration.load()
        self.model, self.task = load_network(path), config.task
        self.periods = np.array(sorted(config.training.periods, reverse=True))
        self.cues = task.context_cue(self.periods, self.task.cue_constant)
        self.is_excit = np.arange(len(self.model.w_hh)) < self.model.n_excit

    @cached_property
    def statistics(self) -> list[evaluate.PeriodStatistics]:
        """Runs with noise, clicks, then silence; untrained cues between the trained and beyond."""
        trained, (slow, fast) = self.periods.tolist(), self.periods[[0, -1]]
        others = evaluate.untrained_periods(trained, N_BETWEEN)
        others += [*(slow * f for f in BEYOND), *(fast / f for f in BEYOND)]
        options = {"runs": RUNS, "keep_seconds": KEEP_SECONDS, "seed": SEED}
        return evaluate.period_statistics(self.model, trained, self.task, others=others, **options)

    @cached_property
    def shifts(self) -> dict[float, np.ndarray]:
        """Error of the mean ITI, a fraction (B,), by noise: 0, and factors of sigma_rec."""
        factors, itis = (0.0, 1 / NOISE_FACTOR, 1.0, NOISE_FACTOR), {}
        n_runs = np.maximum(np.round(SHIFT_RUNS * self.periods / self.periods[0]), 2).astype(int)
        runs = list(zip(self.periods, n_runs, strict=True))
        plan = [(f, period) for f in factors for period, n in runs for _ in range(n if f else 1)]
        scales, periods = np.transpose(plan)
        generator = torch.Generator().manual_seed(SEED + 1)
        noise = self.model.noise(generator, trial_scale=torch.tensor(scales))
        times = SHIFT_SECONDS, self.model.dt, self.task, CLICK_SECONDS
        outputs = simulate.run(self.model, simulate.driving_inputs(periods, *times), noise).outputs
        for key, output in zip(plan, outputs, strict=True):
            taps = find_taps(output, self.model.dt) * self.model.dt
            itis.setdefault(key, []).extend(np.diff(taps[taps > 2 * CLICK_SECONDS]))
        means = {key: np.mean(some or np.nan) for key, some in itis.items()}
        mean_itis = {f: np.array([means[f, period] for period in self.periods]) for f in factors}
        return {f: mean_iti / self.periods - 1 for f, mean_iti in mean_itis.items()}

    @cached_property
    def recordings(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Currents (T, N) in silence without noise, and taps (K,) [samples], a pair a tempo.

        From the first tap on. Raises NoCycle where a tempo has fewer than three taps.
        """
        times = RUN_SECONDS, self.model.dt, self.task, CLICK_SECONDS
        inputs = simulate.driving_inputs(self.periods, *times)
        run, found = simulate.run(self.model, inputs, keep_states=True), []
        for output, states in zip(run.outputs, run.states, strict=True):
            taps = find_taps(output, self.model.dt)
            taps = np.round(taps[taps > 1.5 * CLICK_SECONDS / self.model.dt]).astype(int)
            if len(taps) < 3:
                raise NoCycle("no cycle at a trained tempo without noise")
            found.append((states[taps[0] : taps[-1] + 1].astype(float), taps - taps[0]))
        return found

    @cached_property
    def cycles(self) -> np.ndarray:
        """Rates (B, P, N) from tap to tap, noise-free."""
        return np.array(
            [activity.mean_cycle(np.maximum(x, 0), taps) for x, taps in self.recordings]
        )

    @cached_property
    def diagram(self) -> Diagram:
        """Its equilibria and its cycle against the cue."""
        return network_diagram.solve(self.model, CUES, N_CYCLES, float(self.cues[TIMED[1]]))[0]

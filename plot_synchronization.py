"""Draw how a trained network keeps time with clicks, and with a metronome that has fallen silent.

Asynchrony, ITIs with clicks and in silence, clock and motor variance, phase correction, phase
response, locking, steps of the tempo, drift, and a cue that listens. Saves the figures
synchronization, phase_response, tongues, tempo_steps and drift, an .npz beside each, and
synchronization.json.

--config_path FILE   a configuration; keys it lacks come from config.yaml
--checkpoint FILE    the network, or shipped (default: training.save_path, else shipped)
--device NAME        auto, cpu or cuda
"""

from models import open_network
from zrnn import cli, configuration
from zrnn.figures import save_results
from zrnn.synchronization import drawing as draw
from zrnn.synchronization import report


def main(config_path=None, checkpoint=None, device="auto", **flags):
    config, model, made_by = open_network(config_path, checkpoint, device, flags)
    own, periods = config.synchronization, sorted(config.training.periods, reverse=True)
    numbers, arrays = report.measure(
        model, periods, config.task, own.noise_runs, own.gain, own.seed
    )
    compared = report.tempos_compared(periods)
    drawn = {
        "synchronization": draw.synchronization(arrays["synchronization"], periods, compared),
        "phase_response": draw.phase_response(arrays["phase_response"], periods),
        "tongues": draw.tongues(arrays["tongues"]),
        "tempo_steps": draw.tempo_steps(arrays["tempo_steps"]),
        "drift": draw.drift(arrays["drift"], periods, compared),
    }
    tidy = {"made_by": made_by} | report.plain(numbers)
    save_results(
        own.folder,
        configuration.to_text(config, made_by),
        drawn,
        config.plotting.format,
        arrays,
        {"synchronization": tidy},
    )


if __name__ == "__main__":
    cli.run(main)

"""An estimate of a run in words, and its advice."""

from datetime import datetime

import torch
from torch import Tensor, nn

from genbench.generator import Generator, Loss, Rng
from genbench.runtime.memory import larger_batch
from genbench.session.activation_memory import activation_bytes
from genbench.session.estimate import Estimate, shorter
from genbench.session.estimate_parts import Part, trial_batch
from genbench.training.loop import Trainer


class Perceptron(Generator):
    """4 pixels, 7 hidden units, 5 outputs, which are to be 0; it draws nothing."""

    def __init__(self) -> None:
        super().__init__((1, 2, 2))
        self.network = nn.Sequential(nn.Flatten(), nn.Linear(4, 7), nn.ReLU(), nn.Linear(7, 5))

    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> Loss:
        return Loss(self.network(x).square().mean(), {})

    def sample(self, n: int, y: Tensor | None = None, *, rng: Rng | None = None) -> Tensor:
        return torch.zeros(n, *self.shape)


FOUND = Estimate(
    parts=[
        Part("training", 3600.0, "many images"),
        Part("pictures", 0.2, "1 grid"),
        Part("sampling", 65.0, ""),
    ],
    peak_memory_bytes=1_030_000_000,
    disk_bytes=2_500_000,
    parameters=10,
    device="cpu (1 thread)",
    advice="",
)


def test_the_total_is_the_sum_and_has_the_time_of_day_at_which_the_run_would_end() -> None:
    lines = FOUND.lines(datetime(2026, 11, 30, 12, 30))
    assert "cpu (1 thread)" in lines[0]
    assert lines[1].split() == ["training", "1:00:00", "many", "images"]
    assert lines[4].split(maxsplit=2) == ["total", "1:01:05", "started now, it would end at 13:31"]
    assert lines[5].split()[1:3] == ["1.03", "GB"]
    assert len(lines) == 7
    late = FOUND.lines(datetime(2026, 11, 30, 23, 30))
    assert late[4].endswith("2026-12-01 00:31")
    assert FOUND._replace(advice="More.").lines()[-1] == "More."


def test_a_job_of_a_sweep_has_a_line_of_its_longest_parts() -> None:
    assert FOUND.note == "training 1:00:00, sampling 1:05; 1.03 GB of memory, 2.5 MB of disk"
    assert FOUND._replace(parts=[]).note.startswith("under a second")


def test_a_training_of_over_a_day_on_a_cpu_is_answered_with_a_shorter_budget() -> None:
    days = Part("training", 10 * 86400, "", images=86400.0)
    words = "long for this device: budget.seconds=1800 takes about 180 images"
    assert shorter(days, torch.device("cpu")) == words
    assert shorter(days, torch.device("cuda")) == ""
    assert shorter(days._replace(seconds=3600.0), torch.device("cpu")) == ""


def test_a_batch_that_leaves_a_gpu_nearly_empty_is_advised_to_grow() -> None:
    gpu = 139 * 10**9
    advice = larger_batch(10**9, gpu, 64)
    assert "trainer.batch_size=64 takes 1 of the 139 GB" in advice
    assert "trainer.batch_size=512, or several jobs" in advice
    assert "trainer.batch_size=256, or" in larger_batch(10**10, 101 * 10**9, 64)  # 8 times would be 80 of 101
    assert larger_batch(14 * 10**9, gpu, 64) == ""


def test_a_trial_of_a_slow_model_has_smaller_batches_that_processes_and_parts_still_divide() -> None:
    cpu = torch.device("cpu")
    assert trial_batch(Trainer(batch_size=64), cpu, 0.01, 6) == 64  # 3.8 seconds
    assert trial_batch(Trainer(batch_size=64), cpu, 0.1, 6) == 16  # 9.6 seconds, 32 would take 19
    assert trial_batch(Trainer(batch_size=64), cpu, 100.0, 6) == 2
    assert trial_batch(Trainer(batch_size=24, accumulate=4), cpu, 100.0, 6) == 12
    assert trial_batch(Trainer(batch_size=64), torch.device("cuda"), 100.0, 6) == 64


def test_a_step_holds_the_activations_of_its_images_and_no_parameters() -> None:
    """Of 4 bytes each: the inputs of both layers, and the outputs, whose squares are the loss."""
    assert activation_bytes(Perceptron(), torch.zeros(3, 1, 2, 2), None) == 4 * (4 + 7 + 5)

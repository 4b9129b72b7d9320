"""The data of a run: scenes that are drawn or datasets that are read, in which batches, and who prepares them."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...core.errors import UsageError
from .data import DatasetConfig, MixtureConfig, check_datasets
from .world import ImageSizePhase, MicroBatchConfig, SamplingConfig, check_image_sizes, check_micro_batches


@dataclass(kw_only=True)
class DataOptions:
    """What decides about a run's data; [`TrainingConfig`] has these options and explains them."""

    steps: int
    seed: int = 0
    accumulation: int = 1
    loader_workers: int = 1
    prefetch: int = 8
    image_sizes: list[ImageSizePhase] = field(default_factory=lambda: [ImageSizePhase(until=1.0, size=128)])
    micro_batches: list[MicroBatchConfig] = field(default_factory=list)
    datasets: list[DatasetConfig] = field(default_factory=list)
    mixture: MixtureConfig = field(default_factory=MixtureConfig)
    global_batch: int = 0
    micro_batch: int = 0
    sampling: SamplingConfig = field(default_factory=SamplingConfig)

    def check_data(self) -> None:
        """Refuse data that contradict each other.

        Raises:
            ValueError: the first such option is named.
        """
        if self.datasets and self.micro_batches:
            raise UsageError("datasets: given together with micro_batches; a run takes its data from one of them")
        if not self.datasets and not self.micro_batches:
            raise UsageError("micro_batches: got an empty list; at least one micro-batch is needed, or `datasets`")
        if self.datasets:
            check_datasets(self.datasets, self.accumulation)
        self._check_global_batch()
        check_micro_batches(self.micro_batches, self.sampling)
        check_image_sizes(self.image_sizes)

    def _check_global_batch(self) -> None:
        if self.global_batch < 0 or self.micro_batch < 0:
            raise UsageError(
                f"global_batch, micro_batch: got {self.global_batch} and {self.micro_batch}; accepted: 0 (not set) or "
                "more"
            )
        if self.global_batch and not self.datasets:
            raise UsageError("global_batch: the run has no datasets; `micro_batches` say how large their steps are")
        if self.micro_batch and not self.global_batch:
            raise UsageError("micro_batch: needs global_batch, which it divides; without it set accumulation")
        sizes = {dataset.batch_size for dataset in self.datasets if dataset.weight}
        if self.global_batch and len(sizes) > 1:
            raise UsageError(
                f"global_batch: sets one batch size for all datasets, and they have {sorted(sizes)}; leave batch_size "
                "out, or leave global_batch out and set accumulation"
            )

    def image_size(self, step: int) -> int:
        """Width and height in pixels of the scenes at `step` (0-based)."""
        for phase in self.image_sizes:
            if step < phase.until * self.steps:
                return phase.size
        return self.image_sizes[-1].size

    def easy_share(self, step: int) -> float:
        """Share of easy scenes at `step`."""
        sampling = self.sampling
        progress = min(1.0, step / max(1.0, sampling.easy_share_until * self.steps))
        return sampling.easy_share_start + (sampling.easy_share_end - sampling.easy_share_start) * progress

# SPDX-License-Identifier: Apache-2.0
"""`la.Mixture`: a training configuration with its datasets opened, for who works in Python."""

from __future__ import annotations

import copy
import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lerobot.configs import PreTrainedConfig
from lerobot.configs.default import DatasetConfig
from lerobot.configs.train import TrainPipelineConfig
from torch.utils.data import DataLoader

from lerobot_ambient.annotate.annotations import SourceAnnotation
from lerobot_ambient.core.mixing import Ambient, MixingRule
from lerobot_ambient.core.plan import Plan
from lerobot_ambient.core.windows import Window
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.mixture import AssembledMixture
from lerobot_ambient.data.remote.options import BATCHES_AHEAD
from lerobot_ambient.integration.errors import decoder_notice
from lerobot_ambient.integration.errors.near_options import near_names
from lerobot_ambient.integration.errors.option_errors import raised_to_python
from lerobot_ambient.integration.training.configured_mixture import (
    load_train_config,
    mixture_without_windows,
    target_config,
)
from lerobot_ambient.integration.training.fine_tuning import Base
from lerobot_ambient.integration.training.merged_training import MergedTrainingDataset, make_merged_datasets
from lerobot_ambient.policy import registered as registered
from lerobot_ambient.policy.options.mixing import MixingConfig, as_choice
from lerobot_ambient.policy.options.mixture_options import ambient_types

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_OF_THE_TARGET = (
    *("repo_id", "root", "revision", "episodes", "rename", "dimension_names", "action_type", "action_gain"),
    *("end_effector", "stream"),
)
"""What a `Source` may say of a target: all else is about how a dataset is brought to the target, or trusted."""
_GIVEN_OTHERWISE = (
    *("sources", "mixing", "target_rename", "target_dimension_names", "target_action_type", "target_end_effector"),
    "stream_target",
)


class Mixture:
    """A target, its sources, and the plan by which a policy is trained on them.

    The target is the trusted dataset of your task. It teaches at every noise level, a source only inside its window;
    `plan` says how often each is drawn, and at which levels. A mixture is what `lerobot-train` makes of the same
    configuration, frame for frame.

    >>> target = la.Source("me/target", root="data/target")
    >>> sim = la.Source("me/sim", root="data/sim", sigma_min=0.3)
    >>> mix = la.Mixture.open(target, [sim], horizon=8, n_action_steps=4)
    >>> mix.plan
    Plan(2 groups, NoiseSchedule(T=100, sigma 0.0251 .. 1.0000))
      me/target: 136 samples, window [0, 1], 59.00 % of the draws
      me/sim: 170 samples, window (0.3, 1], 41.00 % of the draws
    >>> batch = next(iter(mix.loader(batch_size=16)))
    >>> batch["action"].shape
    torch.Size([16, 8, 2])

    Without a window it opens all the same, so that `la.annotate` can look for one; only then it has a plan.

    Attributes:
        config: LeRobot's TrainPipelineConfig, with an ambient policy's configuration.
    """

    def __init__(self, config: TrainPipelineConfig) -> None:
        """Open the datasets of a configuration, as `load_train_config` reads it; it is not changed.

        Raises:
            ValueError: anything that keeps them from being one mixture.
        """
        decoder_notice.install()
        self.config = config
        lacking = _without_window(config.policy)
        with command_line():
            # What training sees of the configuration it also writes to; this mixture's stays as it was declared.
            if lacking:
                self._training, self._assembled = None, mixture_without_windows(config)
            else:
                self._training, _ = make_merged_datasets(copy.deepcopy(config))
                self._assembled = self._training.mixture
        self._without_window = [self._declared_names()[index] for index in lacking]

    @classmethod
    def open(
        cls,
        target: Source | str,
        sources: Sequence[Source] = (),
        *,
        mixing: MixingRule | None = None,
        policy_type: str | None = None,
        policy_path: str | Path | None = None,
        **policy: Any,
    ) -> Mixture:
        """Open a target and its sources.

        Args:
            target: the trusted dataset, as a `Source` or by its repo_id alone; it takes no window and no weight.
            sources: the others.
            mixing: how they share the noise levels, such as `la.Soft.linear(1.0, 0.1)`; `la.Ambient()` when None.
            policy_type: one of LeRobot's `--policy.type` that begin with ambient_, such as "ambient_smolvla";
                "ambient_diffusion" when None.
            policy_path: in its place a checkpoint to go on from, LeRobot's `--policy.path`: a folder, or a model on the
                Hub such as "lerobot/smolvla_base". One of a stock type goes on as the ambient form of that type, and
                what `policy` does not say stays as the checkpoint says.
            policy: options of that policy, for ambient_diffusion such as `horizon=16`, `num_train_timesteps=100`,
                `device="cpu"`; all are in docs/reference/policy-config.md. Nothing is pushed to the Hub without
                `repo_id=...`.

        Raises:
            ValueError: an option that is not one, or datasets that do not fit; the message says what to write.
            FileNotFoundError: no such checkpoint.
        """
        decoder_notice.install()
        target = Source(target) if isinstance(target, str) else target
        _refuse_source_options(target)
        if isinstance(sources, Source | str):
            raise ValueError(f'sources are a list, [la.Source("me/sim", sigma_min=0.3)]; got {sources!r}.')
        if policy_path is not None and policy_type is not None:
            raise ValueError(
                f"policy_path='{policy_path}' says its type itself; leave policy_type='{policy_type}' out."
            )
        base = None if policy_path is None else _ambient_base(policy_path)
        config_class = _ambient_class(policy_type or "ambient_diffusion") if base is None else type(base)
        known = [one.name for one in dataclasses.fields(config_class) if one.name not in _GIVEN_OTHERWISE]
        wrong = [name for name in policy if name not in known]
        if wrong:
            near = near_names(wrong, known)
            kind = policy_type or getattr(base, "type", "ambient_diffusion")
            raise ValueError(f"{', '.join(wrong)} is no option of the policy {kind}{near}")
        for source in sources:
            if not isinstance(source, Source):
                raise ValueError(f'a source is written la.Source("me/sim", sigma_min=0.3); got {source!r}.')
        rule = Ambient() if mixing is None else mixing
        if not isinstance(rule, MixingRule):
            raise ValueError(
                f"mixing is a rule such as la.Ambient(alpha=0.5), la.Cotrain() or la.TargetOnly(); got {rule!r}."
            )
        options = dict(
            sources=list(sources),
            mixing=as_choice(rule),  # type: ignore[arg-type]
            target_rename=target.rename,
            stream_target=target.stream,
            target_dimension_names=target.dimension_names,
            target_action_type=target.action_type,
            target_action_gain=target.action_gain,
            target_end_effector=target.end_effector,
            **{"push_to_hub": policy.get("repo_id") is not None, **policy},
        )
        config = config_class(**options) if base is None else dataclasses.replace(base, **options)
        dataset = DatasetConfig(
            repo_id=target.repo_id, root=target.root, revision=target.revision, episodes=target.episodes
        )
        return cls(TrainPipelineConfig(dataset=dataset, policy=config))

    @classmethod
    def from_config(cls, path: str | Path, *options: str) -> Mixture:
        """Open what a configuration file of `lerobot-train` declares.

        Args:
            path: YAML or JSON, as `lerobot-ambient init` writes it.
            options: further ones of lerobot-train, such as "--policy.mixing.type=cotrain".

        Raises:
            ValueError: an option that is not one, a value that does not fit, or a policy of another type.
            FileNotFoundError: no such file.
        """
        with command_line(f"--config_path={path}", *options), raised_to_python():
            config = load_train_config(str(path), options)
        return cls(config)

    def write_config(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the configuration of this mixture: what `lerobot-train --config_path` and `from_config` read.

        >>> sim = la.Source("me/sim", root="data/sim", sigma_min=0.3)
        >>> mix = la.Mixture.open(la.Source("me/target", root="data/target"), [sim], horizon=8, n_action_steps=4)
        >>> file = mix.write_config("outputs/mine.yaml")
        >>> print(file.read_text())
        # Written by `Mixture.write_config`: an ordinary configuration of lerobot-train.
        ...
        >>> la.Mixture.from_config(file).sources == mix.sources
        True

        Args:
            path: of a YAML file; its folder is made.
            overwrite: replace a file that is there.

        Returns:
            The path.

        Raises:
            ValueError: a file that is there, or a configuration that a file cannot hold.
        """
        from lerobot_ambient.integration.training.config_file import write_composed

        path = Path(path)
        if path.exists() and not overwrite:
            raise ValueError(f"{path} exists; give overwrite=True to replace it.")
        if not isinstance(self.config.policy.mixing, MixingConfig):
            name = type(self.config.policy.mixing).__name__
            raise ValueError(f"a file cannot hold the mixing rule {name}: only those that an option can name.")
        with command_line():
            write_composed(copy.deepcopy(self.config), path, "Mixture.write_config")
        return path

    def plot_noised(self, levels: Sequence[float] = (0.0, 0.3, 0.9), *, source: str | None = None) -> Figure:
        """Draw action chunks of the target and of a source under the noise of training: where do they look alike?

        A row an action dimension, a column a noise level. The chunks are normalised as the policy sees them: those of
        three target episodes in which most happens, and the source's most similar ones.

        >>> sim = la.Source("me/sim", root="data/sim")
        >>> mix = la.Mixture.open(la.Source("me/target", root="data/target"), [sim], horizon=8, n_action_steps=4)
        >>> figure = mix.plot_noised((0.0, 0.5))
        >>> len(figure.axes), figure.axes[1].get_title()
        (4, 'σ = 0.5')

        Args:
            levels: sigma of each column, in [0, 1].
            source: its name; needed where there are several.

        Returns:
            The figure, outside pyplot: `figure.savefig("noised.png")` writes it.

        Raises:
            ValueError: no such source, or a level out of range.
        """
        from lerobot_ambient.annotate.chunks.mixture_chunks import chunks_of
        from lerobot_ambient.annotate.report.trajectory_figures import Trajectories, noised_figure

        names = self._declared_names()
        if source is None and len(names) == 1:
            (source,) = names
        if source not in names:
            said = "name one of its sources" if source is None else f"no source is called {source}"
            raise ValueError(f"{said}, source=...; the mixture declares {', '.join(names) or 'none'}.")
        if not levels or any(not 0.0 <= level <= 1.0 for level in levels):
            raise ValueError(f"levels are noise levels in [0, 1], at least one; got {list(levels)}.")
        target, *others = chunks_of(self.without_windows())
        chosen = next(chunks for chunks in others if chunks.name == source)
        return noised_figure(Trajectories.of(target, chosen), [(level, f"σ = {level:g}") for level in levels])

    @property
    def target(self) -> Source:
        """The trusted dataset, as declared."""
        return target_config(self.config)

    @property
    def sources(self) -> list[Source]:
        """The others, as declared."""
        return list(self.config.policy.sources)

    @property
    def plan(self) -> Plan:
        """The joint distribution of (group, timestep); a notebook shows its heat map, `plan.plot()` draws it.

        Raises:
            ValueError: a source without a window.
        """
        return self.require_plan().mixture.plan

    @property
    def notes(self) -> list[str]:
        """What was done to fit the datasets to each other and is worth a look."""
        return self._assembled.notes

    @property
    def warnings(self) -> list[str]:
        """What to know before training on it; empty where there is nothing."""
        return self._assembled.warnings

    @property
    def num_frames(self) -> int:
        """Of all datasets together."""
        return int(self._assembled.dataset.offsets[-1])

    def loader(self, batch_size: int | None = None, *, seed: int | None = None, workers: int = 0) -> DataLoader:
        """A DataLoader that draws by the plan: the batches that training's preprocessor gets, in their order.

        One pass is an epoch, and the next pass draws the next one. Each batch has the keys of a LeRobotDataset, and
        `batch["info"]["ambient_group"]`, the row of the plan that each sample was drawn for.

        Args:
            batch_size: samples of a batch; the configuration's when None.
            seed: of the draws; the configuration's when None, with which it draws what training draws.
            workers: processes that read ahead; they start as the configuration says, by default by "spawn", for which
                a script needs `if __name__ == "__main__":`.

        Raises:
            ValueError: a source without a window, or a batch of less than one sample.
        """
        size = self.config.batch_size if batch_size is None else batch_size
        if size < 1 or workers < 0:
            raise ValueError(f"a loader needs batch_size >= 1 and workers >= 0; got {size} and {workers}.")
        dataset = self.require_plan()
        chosen = self.config.seed if seed is None else seed
        context = self.config.dataloader_multiprocessing_context if workers else None
        return DataLoader(
            dataset,
            batch_size=size,
            sampler=dataset.mixture.sampler(
                0 if chosen is None else chosen, look_ahead=BATCHES_AHEAD * size * max(workers, 1)
            ),
            num_workers=workers,
            multiprocessing_context=context,
        )

    def with_windows(
        self, windows: Mapping[str, Window | SourceAnnotation], *, accept_full_trust: bool = False
    ) -> Mixture:
        """The mixture with other windows: those that `la.annotate` found, or your own, by the source's name.

        >>> sim = la.Source("me/sim", root="data/sim", sigma_min=0.3)
        >>> mix = la.Mixture.open(la.Source("me/target", root="data/target"), [sim], horizon=8, n_action_steps=4)
        >>> mix.with_windows({"me/sim": la.Window(sigma_min=0.5, sigma_max=0.1)}).sources
        [Source('me/sim', root='data/sim', sigma_min=0.5, sigma_max=0.1)]

        Args:
            windows: of some sources or all. An annotation with a window per bucket or data point has to be saved
                before: its file is what the source then names.
            accept_full_trust: also take an annotation whose windows admit every noise level.

        Raises:
            ValueError: a name that no source has, an annotation that recommends no window, or one that is not saved.
        """
        sources = self.config.policy.sources
        names = self._declared_names()
        wrong = [name for name in windows if name not in names]
        if wrong:
            raise ValueError(f"no source is called {', '.join(wrong)}; the mixture declares {', '.join(names)}.")
        changed = copy.deepcopy(self.config)
        changed.policy.sources = [
            source
            if name not in windows
            else dataclasses.replace(source, **_window_options(windows[name], accept_full_trust=accept_full_trust))
            for name, source in zip(names, sources, strict=True)
        ]
        return Mixture(changed)

    def view(self, folder: str | Path, *, rollouts: Sequence[Source] = (), images: int = 600) -> Path:
        """Write a page that plays the episodes, what looks wrong first, and return its path; a browser opens it.

        >>> mix = la.Mixture.open(la.Source("me/target", root="data/target"), horizon=8, n_action_steps=4)
        >>> mix.view("outputs/view").name
        'index.html'

        Args:
            folder: a new one, or one that a view was written into before.
            rollouts: recordings of a policy, shown beside the datasets.
            images: frames of cameras that are written, over all episodes.

        Raises:
            ValueError: the folder holds something else, or rollouts that do not fit.
        """
        from lerobot_ambient.integration.viewing.opened import open_to_view
        from lerobot_ambient.integration.viewing.page_files import require_folder, write_page
        from lerobot_ambient.integration.viewing.shown import View

        require_folder(Path(folder))
        with command_line():
            shown = View.of(open_to_view(self.config, rollouts))
        return write_page(shown, Path(folder), images=images).page

    def without_windows(self) -> AssembledMixture:
        """What estimates of windows are made on: the same datasets, all admitted everywhere."""
        return self._assembled if self._without_window else mixture_without_windows(self.config)

    def held_out_evidence(self, opened: AssembledMixture, *, seed: int, progress: bool, **options: Any) -> list[Any]:
        """What `la.annotate(mix, method="heldout")` asks for, of `without_windows()` and with its options."""
        from lerobot_ambient.integration.heldout.method import held_out_evidence

        return held_out_evidence(self.config, opened, seed=seed, progress=progress, **options)

    def require_plan(self) -> MergedTrainingDataset:
        """What training gets.

        Raises:
            ValueError: a source without a window.
        """
        if self._training is None:
            names = ", ".join(f"'{name}'" for name in self._without_window)
            raise ValueError(
                f"no plan without a window for {names}: it says at which noise levels a source may teach. Estimate it, "
                '`found = la.annotate(mix, method="spectral")` and `mix = mix.with_windows(found)`, write it, '
                '`la.Source("me/sim", sigma_min=0.3)`, or trust the source everywhere, `mixing=la.Cotrain()`.'
            )
        return self._training

    def _declared_names(self) -> list[str]:
        """What the sources of the configuration are called, numbered where a dataset is used more than once."""
        # A merged dataset as the target brings sources of its own, before those that are declared.
        names = [source.name for source in self._assembled.sources]
        return names[len(names) - len(self.config.policy.sources) :]

    def __len__(self) -> int:
        # What a DataLoader asks first, whether it shuffles or not.
        raise TypeError(
            "a mixture has no length: frames are drawn by its plan, not one after the other. Use "
            "`mix.loader(batch_size=...)` in place of DataLoader(mix); `mix.num_frames` counts the frames."
        )

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        head = str(self._assembled) if self._training is not None else "\n".join(self._assembled.fingerprint[:-1])
        missing = [f"no window yet, so no plan: {name}" for name in self._without_window]
        warned = [f"warning: {warning}" for warning in self.warnings if self._training is not None]
        return "\n".join([head, *missing, *warned])

    def _repr_html_(self) -> str:
        """What a notebook shows: the recipe, and the heat map of the plan."""
        picture = "" if self._training is None else self.plan._repr_html_()
        return f"<pre>{escape(repr(self))}</pre>\n{picture}"


@contextmanager
def command_line(*words: str) -> Iterator[None]:
    """Let LeRobot read these words where it looks for its own command line, which a notebook's or a script's is not."""
    before = sys.argv
    sys.argv = [before[0] if before else "", *words]
    try:
        yield
    finally:
        sys.argv = before


def _ambient_class(policy_type: str) -> Any:
    """The configuration class of a policy that has a mixture.

    Raises:
        ValueError: there is none of that name.
    """
    types = ambient_types()
    if policy_type not in types:
        near = near_names([policy_type], types)
        raise ValueError(f"policy_type='{policy_type}' is no type that has a mixture{near}")
    return PreTrainedConfig.get_choice_class(policy_type)


def _ambient_base(path: str | Path) -> Any:
    """The configuration of a checkpoint, of the ambient form of its type.

    Raises:
        FileNotFoundError: no such checkpoint.
        ValueError: a type that has no ambient form.
    """
    # Options of a mixture beside a path ask for the ambient form; the sources come afterwards.
    with command_line():
        return Base(str(path), ["--sources=[]"]).config()


def _window_options(window: Window | SourceAnnotation, *, accept_full_trust: bool) -> dict[str, Any]:
    """The options of a source that stand for a window.

    Raises:
        ValueError: none is recommended, or many are in no file.
    """
    options: dict[str, Any] = {"sigma_min": None, "sigma_max": None, "windows": None}
    if isinstance(window, Window):
        return options | {"sigma_min": window.sigma_min, "sigma_max": window.sigma_max}
    window.require_recommended(accept_full_trust=accept_full_trust)
    finding = window.evidence.finding
    if finding.granularity == "dataset":
        sigma_min, sigma_max = finding.as_written
        return options | {"sigma_min": sigma_min, "sigma_max": sigma_max if sigma_max > 0 else None}
    if window.path is None:
        raise ValueError(
            f"'{window.name}' has a window per {finding.granularity}, which a source names as a file: save them first, "
            f'found["{window.name}"].save("outputs/windows.parquet").'
        )
    return options | {"windows": str(window.path)}


def _without_window(policy: Any) -> list[int]:
    """Which of the declared sources need a window and have none."""
    if not policy.mixing.needs_windows:
        return []
    said = [(source.windows, source.sigma_min, source.sigma_max) for source in policy.sources]
    return [index for index, window in enumerate(said) if window == (None, None, None)]


def _refuse_source_options(target: Source) -> None:
    said: Mapping[str, Any] = {
        one.name: getattr(target, one.name) for one in dataclasses.fields(Source) if one.name not in _OF_THE_TARGET
    }
    plain = Source(target.repo_id)
    wrong = [name for name, value in said.items() if value != getattr(plain, name)]
    if wrong:
        raise ValueError(
            f"the target '{target.repo_id}' is trusted and all else is brought to it, so it takes no "
            f"{', '.join(wrong)}. It takes {', '.join(_OF_THE_TARGET)}."
        )

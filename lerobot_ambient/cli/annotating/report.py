# SPDX-License-Identifier: Apache-2.0
"""What annotations come to under the configuration's mixing: the plan, the warnings, and the page of `--report`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lerobot_ambient.annotate.chunks.mixture_chunks import Chunks
from lerobot_ambient.annotate.mixing.soft_shares import SoftShares
from lerobot_ambient.annotate.report.source import little_left, warnings
from lerobot_ambient.annotate.report.write import SourceReport, write_report
from lerobot_ambient.annotate.results.found_windows import found_plan
from lerobot_ambient.annotate.results.source_evidence import SourceEvidence
from lerobot_ambient.core.mixing import Ambient, MixingRule
from lerobot_ambient.core.plan import Plan
from lerobot_ambient.data.mixture import AssembledMixture


@dataclass(frozen=True, eq=False)
class Outcome:
    """Annotations beside the plan that they lead to.

    Args:
        target: name of the dataset.
        reports: one per source.
        plan: with the windows that were found.
        notes: about the run as a whole.
    """

    target: str
    reports: tuple[SourceReport, ...]
    plan: Plan
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        mixture: AssembledMixture,
        chunks: Sequence[Chunks],
        annotations: Sequence[SourceEvidence],
        mixing: MixingRule,
    ) -> Outcome:
        """Of a mixture's annotations under a configuration's mixing."""
        notes = []
        if not mixing.needs_windows:
            notes.append(
                f"The configuration mixes by {mixing!r}, which needs no windows; the plan is that of ambient "
                "co-training."
            )
            mixing = Ambient()
        trusted = [f"'{one.finding.source}'" for one in annotations if one.finding.is_full_trust]
        if trusted:
            notes.append(
                f"No window is recommended for {', '.join(trusted)}; the plan shows what full trust would come to."
            )
        return cls(
            target=mixture.sources[0].name,
            reports=tuple(
                SourceReport.of(one, source, chunks[0]) for one, source in zip(annotations, chunks[1:], strict=True)
            ),
            plan=found_plan(mixture, chunks, [annotation.finding for annotation in annotations], mixing),
            notes=tuple(notes),
        )

    def warnings(self) -> list[list[str]]:
        """What could be wrong, per source."""
        sigmas = self.plan.schedule.sigmas.numpy()
        return [warnings(report, share, sigmas) for report, share in zip(self.reports, self._shares(), strict=True)]

    def little_left(self) -> list[str]:
        """Names of the sources whose window leaves them next to nothing to teach; the warnings say more."""
        sigmas = self.plan.schedule.sigmas.numpy()
        return [
            report.finding.source
            for report, share in zip(self.reports, self._shares(), strict=True)
            if share > 0.0 and little_left(report, share, sigmas)
        ]

    def _shares(self) -> list[float]:
        """Of each source in all draws."""
        shares = self.plan.by_source().sum(1).tolist()
        # A source without any group may be missing at the plan's end.
        return [*shares, *[0.0] * (1 + len(self.reports) - len(shares))][1:]

    def write(self, folder: Path, yaml: str, command: str, soft: SoftShares | None) -> Path:
        """Write the report and return its page.

        Args:
            folder: to write into.
            yaml: the lines to paste.
            command: that repeats the findings.
            soft: the mixing that the evidence suggests, if it was asked for.
        """
        written = write_report(
            folder,
            self.reports,
            self.plan,
            yaml,
            target=self.target,
            command=command,
            notes=self.notes,
            soft=soft,
        )
        return written.page

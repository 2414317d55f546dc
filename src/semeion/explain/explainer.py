"""Who looks on while a model reads, and writes of every case why: a picture of the map, the map itself, and the facts.

Of every case there is a JSON, also where there is nothing to see, which then says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from semeion.cohort.image import Image
from semeion.cohort.volume import Volume
from semeion.errors import InputError, SemeionError
from semeion.explain.account import Account
from semeion.explain.asking import How
from semeion.explain.content import case_content, explained_content, shown_unit, why_nothing
from semeion.explain.files import Writer, file_stem
from semeion.explain.like import WANTS as FEATURES_ASKED
from semeion.explain.like import Likeness
from semeion.explain.overlay import Scale, backdrop, explained_picture, scale_of, to_png
from semeion.explain.placed import Placed, placed
from semeion.explain.planes import volume_picture
from semeion.explain.tested import tested_content
from semeion.explain.values import ValueExplainer, values_json
from semeion.explain.view import WANTED, Method, ModelView
from semeion.explain.where import explain_where
from semeion.model.findings import Finding
from semeion.model.masks import write_mask
from semeion.model.observing import Seen

FAILURES = (InputError, MemoryError, RuntimeError, ValueError)
"""What may go wrong while a map is brought to an image that has strange geometry."""


class Explainer:
    """An :class:`semeion.model.observing.Observer` that writes explanations into a folder.

    Parameters
    ----------
    view, values
        Of the model: what says where, and what says which value.
    folder
        Made with the first file.
    how
        What is explained, checked by :func:`semeion.explain.asking.refuse_how`.
    method, why
        From :func:`semeion.explain.tested.method_of`: how maps are made, or None and why there are none.
    like
        What finds the nearest training cases; None of a model that ships none.
    """

    def __init__(
        self,
        view: ModelView,
        values: ValueExplainer,
        folder: Path,
        how: How,
        method: Method | None,
        why: str = "",
        like: Likeness | None = None,
    ) -> None:
        self.view, self.values, self.folder, self.how = view, values, folder, how
        self.method, self.why, self.like = method, why, like
        self.manifest = view.manifest
        self.account = Account(folder, view.manifest)
        self._writer = Writer()

    @property
    def wants(self) -> frozenset[str]:
        """Further outputs of the graphs: all that maps are made of; none where nothing is made of them."""
        maps = WANTED if self.method == "activation" else frozenset()
        return maps if self.like is None else maps | FEATURES_ASKED

    @property
    def keeps_images(self) -> bool:
        """Maps are painted on the images as they were read."""
        return True

    def see(self, seen: Seen) -> str:
        """Explain a case; return the path of its picture, or of its JSON where there are several pictures or none."""
        nothing = why_nothing(seen.findings[0])
        targets = [] if nothing else self._targets(seen.findings)
        explained = [self._explain(seen, target, several=len(targets) > 1) for target in targets]
        about = case_content(self.manifest, seen.findings) | {"explained": explained, "why_no_map": nothing or self.why}
        if self.like is not None and not nothing:
            about["like"] = self.like.content(self.like.find(seen))
        path = self.account.add(seen.findings)
        self._writer.json(path, about)
        pictures = [name for one in explained for name in one["pictures"]]
        return str(self.folder / pictures[0]) if len(pictures) == 1 else str(path)

    def close(self, *, whole: bool = True) -> None:
        """Wait until everything is written, raise what went wrong, and where `whole` write the account of all cases."""
        self._writer.close()
        if whole:
            self.account.write(self.how)

    def _targets(self, findings: Sequence[Finding]) -> list[str | None]:
        """Return the classes or labels that are explained; None where there is one score."""
        if self.how.target is not None:
            return [self.how.target]
        first, classes = findings[0], self.manifest.classes
        if self.manifest.task in ("regression", "ordinal"):
            return [None]
        if self.manifest.task == "multilabel":
            present = [finding.target for finding in findings if finding.call == "present"]
            likely = max(findings, key=lambda finding: finding.p[1] if finding.p else 0.0)
            return [*present] or [likely.target]
        if first.status == "called" and first.call in classes:
            return [str(first.call)]
        return [classes[int(np.argmax(first.p))]]

    def _explain(self, seen: Seen, target: str | None, *, several: bool) -> dict[str, Any]:
        """Return what explains one class: the map, whose files go to the writer, and what values said."""
        values = values_json(self.values.explain(seen, target))
        if self.method is None:
            named = target if target is not None else self.manifest.target
            return {"class": named, "method": None, "sentence": "", "pictures": [], "maps": [], "values": values}
        where = explain_where(self.view, seen, target, self.method)
        try:
            if not np.isfinite(where.map).all():
                raise ValueError("it holds values that are no numbers")
            shown = placed(where.map, seen.images, self.manifest)
        except FAILURES as error:  # what was found stands, and one odd image must not lose the thousand others
            what = error.what if isinstance(error, SemeionError) else str(error) or "memory ran out"
            unplaced = f"The map could not be brought to the image ({what})."
            return explained_content(self.view, where, [], Scale(1.0, ""), []) | {"remark": unplaced, "values": values}
        unit = shown_unit(where.method, where.unit, where.map.size)
        scale = scale_of(np.concatenate([one.values.ravel() for one in shown]), *unit)
        files = []
        for one in shown:
            part = ".".join(name for name in (where.target if several else "", one.name) if name)
            files.append(self._write(file_stem(seen.case.case_id, part), one, scale))
        content = explained_content(self.view, where, shown, scale, files)
        return content | tested_content(self.manifest, self.method) | {"values": values}

    def _write(self, stem: str, one: Placed, scale: Scale) -> tuple[str, str]:
        """Hand a picture, and of a volume its map, to the writer; return their names."""
        picture = f"{stem}.png"
        image, values = one.image, one.values
        if isinstance(image, Image):
            self._writer.bytes(self.folder / picture, lambda: to_png(explained_picture(backdrop(image), values, scale)))
            return picture, ""
        volume, name = image, f"{stem}.{self.how.suffix}"
        self._writer.bytes(self.folder / picture, lambda: to_png(volume_picture(volume, values, scale)))
        self._writer.call(lambda: write_mask(self.folder / name, Volume(values[np.newaxis], volume.grid)))
        return picture, name

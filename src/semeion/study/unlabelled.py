"""Images without labels: found, read, freed of copies of the cohort's cases, and prepared as those are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd

from semeion.artefacts import read_json, whole_file, write_json
from semeion.cohort.cohort import Cohort
from semeion.cohort.image import Image
from semeion.cohort.roles import image_references
from semeion.cohort.unlabelled import find_images
from semeion.cohort.volumes.read import is_volume
from semeion.errors import InputError, SemeionError, too_large
from semeion.parallel import ordered_map
from semeion.plan.schema import Plan
from semeion.prepare.case import Spec, prepare_case, read_case
from semeion.prepare.scan import pixel_hash
from semeion.prepare.spec import Preparation
from semeion.prepare.store import Store, build_store
from semeion.prepare.volume_spec import VolumePreparation
from semeion.progress import Progress
from semeion.study.folder import RunFolder
from semeion.study.options import RunOptions

MOST = 20_000
"""Images that are read; of more, that many are drawn by the seed."""
WHERE = "--unlabelled"
OTHER = "other kind"


@dataclass(frozen=True)
class Unlabelled:
    """What became of a folder of images without labels.

    Attributes
    ----------
    references, hashes
        Of the images that are learned from: path, and hash of the pixels.
    found
        Images that the folder holds.
    read
        Of them those that were read, or tried.
    unreadable
        Of those that were read: damaged, or of no use as a case of this cohort.
    other_kind
        Volumes beside a cohort of pictures, or the reverse.
    copies
        Left out since their pixels are exactly those of a case of the cohort, whatever its split.
    repeated
        Left out since an earlier image of the folder has the same pixels.
    """

    references: tuple[str, ...]
    hashes: tuple[str, ...]
    found: int
    read: int
    unreadable: int
    other_kind: int
    copies: int
    repeated: int

    @property
    def images(self) -> int:
        """Images that are learned from."""
        return len(self.references)

    @property
    def sha256(self) -> str:
        """Which images they are, in one hash."""
        return sha256("\n".join(self.hashes).encode()).hexdigest()

    def counts(self) -> dict[str, int]:
        """Return what the evidence says of the folder."""
        told = {name: value for name, value in asdict(self).items() if isinstance(value, int)}
        return {**told, "used": self.images}

    def sentence(self) -> str:
        """Return what was found, in words."""
        parts = [
            (self.unreadable, "could not be read"),
            (self.other_kind, "are of another kind"),
            (self.copies, "have exactly the pixels of a case of the table and were left out"),
            (self.repeated, "repeat another one"),
            (self.found - self.read, "were not drawn"),
        ]
        rest = "; ".join(f"{count:,} {words}" for count, words in parts if count)
        return f"{self.images:,} images without labels are learned from" + (f" ({rest})." if rest else ".")


def refuse_folder(options: RunOptions) -> None:
    """Refuse a folder without images, before anything else is read.

    Raises
    ------
    InputError
        Saying what it holds, or that a network of the user's does not learn from it.
    """
    if options.unlabelled is not None:
        find_images(Path(options.unlabelled), where=WHERE)
        if options.network is not None:
            raise InputError("a network of your own learns from labels alone", where=WHERE, fix="leave it out")


def refuse_unlabelled(cohort: Cohort, options: RunOptions) -> None:
    """Refuse a folder of images without labels where nothing can learn from it.

    Raises
    ------
    InputError
        For outlines, measurements, or channels in files of their own.
    """
    if options.unlabelled is None:
        return
    what = None
    if cohort.target.task == "segmentation":
        what = "networks that outline do not learn from images without masks yet"
    elif cohort.structures:
        what = "a diagnosis from measurements learns nothing from images alone"
    elif cohort.images.role == "channels":
        what = "a case has several channels, and nobody knows which images without labels belong together"
    if what is not None:
        raise InputError(what, where=WHERE, fix="leave it out")


def look_at(
    folder: Path, cohort: Cohort, facts: pd.DataFrame, *, seed: int, jobs: int | None, progress: Progress
) -> Unlabelled:
    """Read every image below a folder once, and say which are learned from.

    Parameters
    ----------
    folder
        Of images of the kind that the cohort has.
    cohort, facts
        The cases, whose copies are left out, and their scan.
    seed
        Draws images where there are more than `MOST`.
    jobs, progress
        Threads, and the bar.

    Raises
    ------
    InputError
        When fewer than two images are left.
    """
    found = find_images(folder, where=WHERE).files
    chosen = found
    if len(found) > MOST:
        drawn = np.random.default_rng([seed, 7]).permutation(len(found))[:MOST]
        chosen = tuple(found[place] for place in sorted(drawn))
    volumes = cohort.images.kind == "volume"
    known = set(cohort_hashes(cohort, facts, jobs))
    spec: Spec = VolumePreparation(size=(1, 8, 8)) if volumes else Preparation()
    kept: dict[str, str] = {}
    counts = {"unreadable": 0, "other_kind": 0, "copies": 0, "repeated": 0}
    progress.start("reading images without labels", len(chosen))
    for reference, said in zip(chosen, ordered_map(lambda one: _hash_of(one, spec), chosen, jobs=jobs), strict=True):
        progress.advance()
        if said in ("", OTHER):
            counts["other_kind" if said else "unreadable"] += 1
        elif said in known:
            counts["copies"] += 1
        elif said in kept:
            counts["repeated"] += 1
        else:
            kept[said] = reference
    progress.finish()
    seen = Unlabelled(tuple(kept.values()), tuple(kept), len(found), len(chosen), **counts)
    if seen.images < 2:
        _refuse_nothing_left(seen, volumes)
    return seen


def _refuse_nothing_left(seen: Unlabelled, volumes: bool) -> None:
    kind, other = ("volumes", "pictures") if volumes else ("pictures", "volumes")
    if seen.other_kind > max(seen.unreadable, seen.copies + seen.repeated):
        what, fix = f"{seen.other_kind:,} of {seen.read:,} images are {other}, and the cases are {kind}", f"give {kind}"
    elif seen.copies + seen.repeated >= seen.unreadable:
        what = f"all but {seen.images} of {seen.read:,} images are copies of the table's own cases or of one another"
        fix = "give images of other patients"
    else:
        what, fix = f"{seen.unreadable:,} of {seen.read:,} images cannot be read", "correct the files"
    raise InputError(f"{what}, so nothing is left to learn from", where=WHERE, fix=fix)


def _hash_of(reference: str, spec: Spec) -> str:
    """Return the hash of an image's pixels, `OTHER` of one of the other kind, nothing of one that is of no use."""
    if is_volume(reference) != isinstance(spec, VolumePreparation):
        return OTHER
    try:
        images = read_case((reference,), spec)
        prepare_case(images, spec)
    except SemeionError:
        return ""
    except MemoryError as error:  # the machine's fault, which must not leave the image out
        raise too_large(reference) from error
    except Exception:  # whatever a decoder makes of one bad file, the others are read
        return ""
    one = images[0]
    return pixel_hash(one.pixels if isinstance(one, Image) else one.voxels)


def cohort_hashes(cohort: Cohort, facts: pd.DataFrame, jobs: int | None) -> list[str]:
    """Return the hash of every image of a cohort; where a case has several they are read again, each for itself."""
    references = image_references(cohort)
    if all(len(one) == 1 for one in references):
        return [str(one) for one in facts["pixel_hash"]]
    spec: Spec = VolumePreparation(size=(1, 8, 8)) if cohort.images.kind == "volume" else Preparation()
    return list(ordered_map(lambda one: _hash_of(one, spec), [one for case in references for one in case], jobs=jobs))


def kept_look(
    run: RunFolder, cohort: Cohort, facts: pd.DataFrame, options: RunOptions, progress: Progress
) -> Unlabelled | None:
    """Return what became of the folder that a run was given, looked at once and kept in ``pretraining/``."""
    if options.unlabelled is None:
        return None
    table, counts = run / "pretraining" / "images.parquet", run / "pretraining" / "images.json"
    if not counts.exists():
        seen = look_at(Path(options.unlabelled), cohort, facts, seed=options.seed, jobs=options.jobs, progress=progress)
        table.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(table) as temporary:
            pd.DataFrame({"image": list(seen.references), "pixel_hash": list(seen.hashes)}).to_parquet(
                temporary, index=False
            )
        write_json(counts, seen.counts())
        progress.say(seen.sentence())
    frame, told = pd.read_parquet(table), read_json(counts)
    told = {name: told[name] for name in ("found", "read", "unreadable", "other_kind", "copies", "repeated")}
    return Unlabelled(tuple(frame["image"].astype(str)), tuple(frame["pixel_hash"].astype(str)), **told)


def prepared_unlabelled(run: RunFolder, seen: Unlabelled, plan: Plan, options: RunOptions, progress: Progress) -> Store:
    """Return the images without labels prepared as the cases are, kept in ``pretraining/store/``."""
    names: Sequence[str] = [str(number) for number in range(seen.images)]
    return build_store(
        names,
        list(seen.references),
        plan.preparation.spec(),
        run / "pretraining" / "store",
        hashes=list(seen.hashes),
        jobs=options.jobs,
        progress=progress,
    )


def prepared_like(
    run: RunFolder, store: Store, seen: Unlabelled, plan: Plan, options: RunOptions, progress: Progress
) -> Store:
    """Return the images without labels prepared, for networks that learn from them and from the cases of `store`.

    Raises
    ------
    InputError
        When they are no images as the cases are.
    """
    images = prepared_unlabelled(run, seen, plan, options, progress)
    if images.shape != store.shape:
        raise InputError(
            f"a case is prepared as {store.shape}, and an image without labels as {images.shape}",
            where="--unlabelled",
            fix="plan again: such images cannot be taught of",
        )
    return images

"""WebDataset's tar files: members with one name belong together, 000.jpg with 000.txt, 000.cls or 000.json.

The library of that name reads streams. Here images are read in any order, so every tar file is listed once, and members
are then read by their offset.
"""

import io
import json
import os
import posixpath
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Unpack, cast

from waypoint.errors import WaypointError
from waypoint.store.data.captions import is_empty, one_or_several, usable
from waypoint.store.data.faults import some
from waypoint.store.data.image_files import EncodedImages
from waypoint.store.data.images import ImageOptions
from waypoint.store.data.labels import labels_of
from waypoint.store.data.listing import counts_by_suffix, readable, suffix_of
from waypoint.store.data.patterns import expanded
from waypoint.store.data.source import DataSection, Source, places
from waypoint.store.data.tables import caption_fault, label_fault, label_text, require_whole_text

CAPTIONS = ("txt", "text", "caption", "json.caption", "json.text")
LABELS = ("cls", "json.label", "json.cls")
PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".gz")
LOOKED_AT = 1000  # members read at planning
CUT, AGAIN = "cut short", "copy or download it again"
MOST_TEXT = 1 << 20  # bytes of a text member


class Sample:
    """The members that belong to one image, by suffix: (tar file, offset, size)."""

    def __init__(self, name: str):
        self.name = name
        self.members: dict[str, tuple[str, int, int]] = {}

    def bytes_of(self, suffix: str) -> bytes:
        """Read a member's bytes."""
        tar, offset, size = self.members[suffix]
        with open(tar, "rb") as handle:
            handle.seek(offset)
            return handle.read(size)


def tar_files(section: DataSection) -> list[str]:
    """List the tar files that a path, a pattern, a list of these or a folder names.

    Raises:
        WaypointError: there are none, one is named twice, or they are compressed, so that members cannot be read by
            their offset.
    """
    files: list[str] = []
    for place in places(section["path"]):
        if os.path.isdir(place):
            contents = [str(file) for file in sorted(Path(place).iterdir()) if not file.name.startswith(".")]
            tars = [file for file in contents if file.lower().endswith((".tar", *PACKED))]
            if not tars:
                raise WaypointError(
                    f"data.path: {place} holds no tar files; it holds {counts_by_suffix(contents) or 'nothing'}"
                )
            files += tars
        else:
            files += expanded(place)
    if packed := [file for file in files if file.lower().endswith(PACKED)]:
        command = {".zst": "zstd -d", ".bz2": "bunzip2", ".xz": "unxz"}.get(suffix_of(packed[0]), "gunzip")
        raise WaypointError(
            f"data.path: {some(packed)}: a compressed tar file must be read from its beginning every time; "
            f"`{command} {packed[0]}` unpacks it into a plain one"
        )
    counts = Counter(map(os.path.realpath, files))
    if repeated := [file for file in dict.fromkeys(files) if counts[os.path.realpath(file)] > 1]:
        raise WaypointError(
            f"data.path names tar files more than once, so their images would count several times: {some(repeated)}; "
            "name each once"
        )
    return files


def members_of(tar: str) -> Iterator[tuple[str, str, int, int]]:
    """Yield (name, suffix, offset, size) of a tar file's members; the suffix follows the first dot, in lower case.

    Raises:
        WaypointError: it cannot be read, ends too early or goes on after its end, or a member is not a plain file.
    """
    last = "its beginning"
    try:
        with tarfile.open(tar, "r:") as archive:
            for member in archive:
                last = member.name
                folder, base = posixpath.split(member.name.removeprefix("./"))
                name, _, suffix = base.partition(".")
                if member.isdir() or not name or not suffix or "__MACOSX" in folder.split("/"):
                    continue
                if not member.isreg() or member.issparse():
                    raise WaypointError(f"data.path: {tar}: {member.name} is a link or sparse; pack it as a plain file")
                yield posixpath.join(folder, name), suffix.lower(), member.offset_data, member.size
            end = archive.offset
        _require_end(tar, end, last)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise WaypointError(f"data.path: {tar} is not a readable tar file ({error})") from error


def _require_end(tar: str, offset: int, last: str) -> None:
    """Refuse a tar file without the block of zeros after its last member, or with more than zeros after it.

    The module ``tarfile`` stops without a word at a damaged header, and where the file ends between two members.

    Args:
        offset: where the list of members ends. last: the name of the last one.

    Raises:
        WaypointError: says which it is.
    """
    with open(tar, "rb") as handle:
        handle.seek(offset)
        block = handle.read(tarfile.BLOCKSIZE)
        if len(block) < tarfile.BLOCKSIZE:
            raise WaypointError(f"data.path: {tar} is {CUT}: after {last} there is no mark of its end; {AGAIN}")
        if any(block):
            raise WaypointError(f"data.path: {tar} is damaged after {last}; {AGAIN}")
        while block := handle.read(1 << 20):
            if block.strip(b"\0"):
                raise WaypointError(
                    f"data.path: {tar} goes on after its end, as several tar files in one file do, and what follows "
                    f"{last} would not be read; unpack it with `tar -xif {tar}`, and pack its files again"
                )


def _require_ends(tars: Sequence[str]) -> None:
    """Refuse tar files whose last bytes are not zeros, as of those that are cut short; none is read further.

    Raises:
        WaypointError: names them.
    """
    cut_short: list[str] = []
    for tar in tars:
        try:
            with open(tar, "rb") as handle:
                handle.seek(max(0, os.path.getsize(tar) - tarfile.BLOCKSIZE))
                if any(handle.read()):
                    cut_short.append(tar)
        except OSError as error:
            raise WaypointError(f"data.path: {tar} is not a readable tar file ({error})") from error
    if cut_short:
        kind = "is not a readable tar file, or is" if len(cut_short) == 1 else "are no readable tar files, or are"
        raise WaypointError(f"data.path: {some(cut_short)} {kind} {CUT}; {AGAIN}")


def samples_in(tar: str, name_of_tar: str) -> list[Sample]:
    """List the samples of a tar file, in its order; their names begin with the one given for the tar file.

    Raises:
        WaypointError: as ``members_of``, or two members have the same name.
    """
    samples: dict[str, Sample] = {}
    for name, suffix, offset, size in members_of(tar):
        sample = samples.setdefault(name, Sample(f"{name_of_tar}/{name}"))
        if suffix in sample.members:
            raise WaypointError(f"data.path: {tar} holds {name}.{suffix} twice")
        sample.members[suffix] = tar, offset, size
    return list(samples.values())


def check(section: DataSection) -> None:
    """Refuse files that are not whole tar files, and a first one that lacks images or the chosen columns.

    Of the first file 1,000 members are looked at, with their labels and captions; of the others one.

    Raises:
        WaypointError: says what is wrong.
    """
    tars = tar_files(section)
    _require_ends(tars)
    first, *others = tars
    for tar in others:
        next(members_of(tar), None)
    columns = section.get("columns") or {}
    suffixes: dict[str, None] = {}
    samples: dict[str, Sample] = {}
    is_whole = True
    for count, (name, suffix, offset, size) in enumerate(members_of(first)):
        if count == LOOKED_AT:  # the others may have what is missing so far
            is_whole = False
            break
        suffixes[suffix] = None
        sample = samples.setdefault(name, Sample(f"{os.path.basename(first)}/{name}"))
        sample.members[suffix] = first, offset, size
    endings = ", ".join(suffixes) or "nothing"
    if is_whole and "image" not in columns and not image_suffixes() & set(map(_last, suffixes)):
        raise WaypointError(f"data.path: {first} holds no images; its members end in {endings}")
    for role, column in columns.items():
        is_key = column is not None and column.startswith("json.") and "json" in suffixes
        if is_whole and column is not None and column not in suffixes and not is_key:
            raise WaypointError(f"data.columns.{role}: no member of {first} ends in .{column}; they end in {endings}")
    for role, defaults in (("caption", CAPTIONS), ("label", LABELS)):
        candidates = _candidates(columns, role, defaults)
        # an empty list of texts is refused with the number of such samples, when all are read
        found = any(any([_texts(sample, column, role) for sample in samples.values()]) for column in candidates)
        if is_whole and not found and columns.get(role) is not None:
            raise WaypointError(f"data.columns.{role}: no sample of {first} has a {role} in {candidates[0]}")


def _candidates(columns: Mapping[str, str | None], role: str, defaults: Sequence[str]) -> Sequence[str]:
    """Return the columns that may hold the texts of a role: the configured one, or the defaults."""
    column = columns.get(role)
    return defaults if role not in columns else [column] if column else []


def image_suffixes() -> set[str]:
    """Return the suffixes of images that Pillow reads, without the dot."""
    return {suffix.removeprefix(".") for suffix in readable()}


class TarImages(EncodedImages):
    """Images in tar files, each read by its offset.

    Args:
        tars: the files. samples: (n). suffixes: (n) of the members that are the images.
    """

    def __init__(
        self,
        section: DataSection,
        tars: Sequence[str],
        samples: Sequence[Sample],
        suffixes: Sequence[str],
        **options: Unpack[ImageOptions],
    ):
        files = [f"{sample.name}.{suffix}" for sample, suffix in zip(samples, suffixes)]
        super().__init__(section, files, self._member, **options)
        self.tars, self.samples, self.suffixes = tars, samples, suffixes

    def _member(self, i: int) -> IO[bytes]:
        return io.BytesIO(self.samples[i].bytes_of(self.suffixes[i]))

    def read_from(self, rows: Sequence[int]) -> list[str]:
        return list(self.tars)


def webdataset(section: DataSection) -> TarImages:
    """Return the images of all tar files, in order, with labels and captions.

    Raises:
        WaypointError: a sample has no image or several, or lacks a caption or label that others have.
    """
    tars, columns = tar_files(section), section.get("columns") or {}
    samples = [sample for tar, name in zip(tars, _names(tars)) for sample in samples_in(tar, name)]
    suffixes = _images(samples, columns.get("image"))
    texts: dict[str, list[list[str]] | None] = {}
    for role, defaults in (("caption", CAPTIONS), ("label", LABELS)):
        texts[role] = _texts_beside(samples, role, _candidates(columns, role, defaults))
    captions = texts["caption"] and [one_or_several(sample_texts) for sample_texts in texts["caption"]]
    labels, class_names = labels_of([label for label, *_ in texts["label"]]) if texts["label"] else (None, None)
    options: ImageOptions = {"labels": labels, "class_names": class_names, "captions": captions}
    return TarImages(section, tars, samples, suffixes, **options)


def _names(tars: Sequence[str]) -> list[str]:
    """Return names for tar files: their own, or, if two have the same, their paths below the folder of all of them."""
    names = [os.path.basename(tar) for tar in tars]
    if len(set(names)) == len(names):
        return names
    absolute = list(map(os.path.abspath, tars))
    common = os.path.commonpath(list(map(os.path.dirname, absolute)))
    return [Path(os.path.relpath(tar, common)).as_posix() for tar in absolute]


def _images(samples: Sequence[Sample], column: str | None) -> list[str]:
    """Return the suffix of each sample's image."""
    readable_suffixes = image_suffixes()
    images = [
        [
            suffix
            for suffix in sample.members
            if suffix == column or (column is None and _last(suffix) in readable_suffixes)
        ]
        for sample in samples
    ]
    for bad_samples, fault in (
        ([sample for sample, fits in zip(samples, images) if not fits], "no image"),
        ([sample for sample, fits in zip(samples, images) if len(fits) > 1], "several images"),
    ):
        if bad_samples:
            ends = ", ".join(dict.fromkeys(suffix for sample in bad_samples[:10] for suffix in sample.members))
            raise WaypointError(
                f"data.path: {len(bad_samples):,} of {len(samples):,} samples have {fault}: "
                f"{some(sample.name for sample in bad_samples)}; their members end in {ends}. "
                "data.columns: {image: SUFFIX} chooses one"
            )
    return [fits[0] for fits in images]


def _last(suffix: str) -> str:
    return suffix.rpartition(".")[2]


def _texts_beside(samples: Sequence[Sample], role: str, candidates: Sequence[str]) -> list[list[str]] | None:
    """Read the texts of a role for each sample, from the first candidate column that any sample has, or return None."""
    column, texts = next(
        (
            (column, texts)
            for column in candidates
            if any(texts := [_texts(sample, column, role) for sample in samples])
        ),
        ("", None),
    )
    if texts is None:
        if len(candidates) == 1:
            raise WaypointError(f"data.columns.{role}: no sample has a {candidates[0]}")
        return None
    lacking = [sample.name for sample, sample_texts in zip(samples, texts) if not sample_texts]
    if lacking:
        raise WaypointError(
            f"data.columns.{role}: {len(lacking):,} of {len(samples):,} samples have no {role} in .{column}: "
            f"{some(lacking)}. Fill them, or leave {role}s out with columns: {{{role}: null}}"
        )
    return texts


def _texts(sample: Sample, column: str, role: str) -> list[str]:
    """Read the texts in a sample's member, or under a key of its .json; empty without any."""
    suffix, _, key = column.partition(".") if column.startswith("json.") else (column, "", "")
    if suffix not in sample.members:
        return []
    if sample.members[suffix][2] > MOST_TEXT:
        raise WaypointError(
            f"data.path: {sample.name}.{suffix} is not text: it has {sample.members[suffix][2]:,} bytes"
        )
    try:
        text = sample.bytes_of(suffix).decode("utf-8-sig")
        value: object = json.loads(text).get(key) if key else text
    except (ValueError, AttributeError, RecursionError) as error:  # not UTF-8, JSON or a mapping
        raise WaypointError(f"data.path: {sample.name}.{suffix} cannot be read ({error})") from error
    context = f"data.path: {sample.name}.{suffix}"
    require_whole_text(text, value, context)
    if fault := label_fault(value) if role == "label" else caption_fault(value):
        raise WaypointError(f"{context}: {key} {fault}")
    if role == "caption":
        return usable(cast(list[str | None], value) if isinstance(value, list) else [cast(str | None, value)])
    label = label_text(value)
    return [] if label is None or is_empty(label) else [" ".join(label.split())]


def captioned(section: DataSection) -> bool | None:
    """Return False if no captions are wanted, else None: only reading all samples would tell."""
    return False if (section.get("columns") or {}).get("caption", "") is None else None


def paths(section: DataSection) -> Sequence[str | None]:
    """List the tar files, or return [None] if they are missing."""
    try:
        return tar_files(section)
    except WaypointError:
        return [None]


SOURCE = Source(
    webdataset,
    keys=("path", "columns"),
    needs={"path": "tar files: one, a pattern, a list or a folder"},
    several=True,
    reads=(".tar",),
    paths=paths,
    check=check,
    captioned=captioned,
)

"""What is checked before ``dlarewrite build`` begins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlarewrite.cli import build_options
from dlarewrite.cli.console import Console
from dlarewrite.errors import UsageError

if TYPE_CHECKING:
    from dlarewrite.build.prepare import Files
    from dlarewrite.compiler import Options
    from dlarewrite.target import Target


def early(mine: dict[str, Any], target: Target, release: str | None, shown: bool) -> None:
    """Everything that can be wrong with the options, before any work; ``shown`` where nothing gets built."""
    from dlarewrite.build.calibration import load_scales
    from dlarewrite.build.options import check_options
    from dlarewrite.build.release import known, parse_version, refusal

    if release is not None and not shown:
        raise UsageError("--tensorrt is for --dry-run and --emit: a build uses the TensorRT at hand")
    version = parse_version(release) if release is not None else target.profile.tensorrt
    if refusal(version):
        raise UsageError(refusal(version), hint="see `dlarewrite list targets`")
    wanted = build_options.collect(mine, target.precision.value)
    check_options(wanted, target.profile, known(version))
    if wanted.calibration_cache is not None:
        load_scales(wanted.calibration_cache)


def purpose(emit: str | None, dry_run: bool, as_json: bool, wanted: dict[str, Any]) -> None:
    """What only a build can answer is not asked of a script or a dry run, and JSON of a dry run alone."""
    if as_json and not dry_run:
        raise UsageError("--json shows a dry run, and this is none", hint="add --dry-run")
    asked = next((option for option, value in wanted.items() if value), None)
    if asked is None or not (emit or dry_run):
        return
    raise UsageError(f"{asked} needs a build, and {'--dry-run' if dry_run else '--emit'} builds nothing")


def places(source: Path, files: Files, export: Path | None, read: list[Path | None]) -> None:
    """All files can be written, and none of them is one that is read."""
    from dlarewrite.cli.output import check_paths

    for path in (files.engine, *files.written, *([export] if export is not None else [])):
        check_paths(source, path)
        if any(given is not None and given.exists() and given.resolve() == path.resolve() for given in read):
            raise UsageError(f"{str(path)!r} would be overwritten, and it is read", hint="-o with another name")


def timings(cache: Path | None) -> None:
    """The timing cache can be written back after a build that may take an hour."""
    if cache is not None and not cache.parent.is_dir():
        raise UsageError(f"folder {str(cache.parent)!r} of the timing cache does not exist")


def scales(console: Console, source: Path, chosen: Options, scales: Path | None) -> None:
    """The table, if there is one, names the model's tensors."""
    if scales is None:
        return
    from dlarewrite import compiler
    from dlarewrite.build.calibration import load_scales
    from dlarewrite.cli.belongs import check_belongs

    check_belongs(console, load_scales(scales), compiler.load_frozen(source, chosen)[0], scales, source)

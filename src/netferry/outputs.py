"""Writing results whole or not at all, and never over what exists unless told to."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from netferry.diagnostics import failure

Writer = Callable[[Path], None]


def refuse_existing(paths: Iterable[Path], force: bool) -> None:
    """Raise NF040 for a path that exists, NF041 for one whose folder does not; called before the work is done."""
    for path in paths:
        if not path.parent.is_dir():
            raise failure("NF041", f"there is no folder {path.parent}", file=path)
        if path.is_dir():
            raise failure("NF041", f"{path} is a folder", file=path)
        if path.exists() and not force:
            raise failure("NF040", f"{path} exists already", file=path)


def write_all(writers: Mapping[Path, Writer], force: bool = False) -> None:
    """Let each writer write its file in a folder beside the goal, then move all into place; undone when one fails."""
    refuse_existing(writers, force)
    done: list[tuple[Path, Path | None]] = []
    folders: list[Path] = []
    try:
        for path, writer in writers.items():
            folders.append(Path(tempfile.mkdtemp(prefix=".netferry-", dir=path.parent)))
            writer(folders[-1] / path.name)
        for path, folder in zip(writers, folders, strict=True):
            before = folder / f"{path.name}.before" if path.exists() else None
            if before:
                os.replace(path, before)
            done.append((path, before))
            os.replace(folder / path.name, path)
    except BaseException as error:
        _undo(done)
        if isinstance(error, OSError):
            raise failure("NF041", f"writing failed: {error.strerror}", file=error.filename or "") from error
        raise
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def _undo(done: list[tuple[Path, Path | None]]) -> None:
    for path, before in reversed(done):
        if before:
            os.replace(before, path)
        else:
            path.unlink(missing_ok=True)


def text_writer(text: str) -> Writer:
    """A writer of a text file."""
    return lambda path: _write_text(path, text)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")

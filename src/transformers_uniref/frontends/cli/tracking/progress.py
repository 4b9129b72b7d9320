"""What of a clip is done, kept in a folder of its own until all is: an interrupted `uniref track` can be gone on with.

`unfinished/` in the folder of results holds the label map of each frame (`masks/`), a line with its scores
(`frames.jsonl`), what the session remembers (`state.pt`) and what the command was (`run.json`). From these a later run
makes everything else anew: videos, which cannot be continued, and pictures are drawn again, and come out the same.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ...errors import UserError, is_users_mistake

if TYPE_CHECKING:
    import numpy as np

    from ....inference.clips import Objects
    from .outputs import TrackedFrame

UNFINISHED = "unfinished"
MASKS, FRAMES, STATE, RUN, LOCK = "masks", "frames.jsonl", "state.pt", "run.json", ".lock"
_SECONDS_BETWEEN = 30.0
_LEAST_WORK_PER_SAVING = 20
"""State is saved no more often than every 30 seconds, and takes a twentieth of the time at most."""


class Progress:
    """The folder in which a clip's results grow. Used as a context: it is gone at the end of a run, or kept.

    What a user's mistake ends is not kept, and neither is what ended before a frame was done.

    Args:
        clip: what the user called it.
        target: the folder of results.
        names: of the results in it.
        overwrite: replace results of these names.
        resume: go on with what an earlier run kept, if it did.

    Attributes:
        folder: to write into.
        count: frames that are done, whether now or before.
        total: frames that there are to do; None: unknown.

    Raises:
        UserError, FileExistsError: results, or an unfinished run, are there and nothing was said about them.
    """

    def __init__(self, clip: str, target: Path, names: list[str], *, overwrite: bool, resume: bool) -> None:
        self.clip, self.target, self.names = clip, target, names
        self.folder = target / UNFINISHED
        self.count = 0
        self.total: int | None = None
        self._overwrite, self._resume = overwrite, resume
        self._inherited = resume and has_unfinished(target)
        self._rows: list[dict[str, Any]] = []
        self._frames: IO[str] | None = None
        self._session: Any = None
        self._latest: tuple[TrackedFrame, dict[str, Any]] | None = None
        self._consistent = True
        self._saved_count = 0
        self._next_saving = 0.0
        self._missing: list[Path] = []
        self._stack = ExitStack()

    def __enter__(self) -> Progress:
        from ....core.atomic import alone, refuse_clashes

        refuse_clashes(self.target, self.names, self._overwrite)
        if has_unfinished(self.target) and not self._resume and not self._overwrite:
            raise UserError(
                f"--output holds an unfinished run: {self.target}; --resume goes on with it, --overwrite begins anew"
            )
        self._missing = [path for path in (self.target, *self.target.parents) if not path.exists()]
        self._stack.enter_context(alone(self.folder / LOCK, f"--output is in use by another run: {self.target}"))
        if not self._inherited:
            self._clear(keep=())
        return self

    def begin(self, run: dict[str, Any], session: Any, total: int | None) -> None:
        """Says what this run is, and takes over what an earlier one left, if that was the same.

        Args:
            run: all that results depend on, by the name of the option; what JSON can hold.
            session: new, with its sentences; it goes on where the earlier one was.
            total: frames that there are to do, as far as that is known.
        """
        from ....core.atomic import replacing

        self._session, self.total = session, total
        run = json.loads(json.dumps(run, default=str))
        if self._inherited:
            self._take_over(run)
            print(f"{self.clip}: goes on after {self._amount()}", file=sys.stderr)
            self._clear(keep=(MASKS, FRAMES, STATE, RUN))
            for remains in (self.folder / MASKS).glob(".*"):  # of a process that was killed while it wrote
                remains.unlink()
        (self.folder / MASKS).mkdir(exist_ok=True)
        with replacing(self.folder / RUN) as partial:
            partial.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
        with replacing(self.folder / FRAMES) as partial:
            partial.write_text("".join(json.dumps(row) + "\n" for row in self._rows), encoding="utf-8")
        self._frames = self._stack.enter_context((self.folder / FRAMES).open("a", encoding="utf-8"))

    def stored(self, position: int, name: str) -> Objects | None:
        """What an earlier run found in the frame that is followed at this place; None where it is still to be done."""
        from ....inference.results import SegmentedObject

        if position >= len(self._rows):
            return None
        row = self._rows[position]
        if row["name"] != name:
            raise UserError(f"--resume needs the same clip, frame {row['name']} is now called {name}: {self.folder}")
        labels = _labels(self.folder / MASKS / f"{name}.png")
        scores = {int(number): score for number, score in row["scores"].items()}
        said = {int(number): text for number, text in row.get("labels", {}).items()}
        return {n: SegmentedObject(labels == n, said.get(n), score=score, object_id=n) for n, score in scores.items()}

    @contextmanager
    def step(self) -> Iterator[None]:
        """A context for the computation of a frame: what breaks it off leaves no session that could be saved."""
        self._consistent = False
        yield
        self._consistent = True

    def add(self, result: TrackedFrame) -> None:
        """Keeps what was found in the next frame."""
        from ....core.palette import save_label_map

        row = {"name": result.name, "scores": {number: item.score for number, item in result.objects.items()}}
        if said := {number: item.label for number, item in result.objects.items() if item.label is not None}:
            row["labels"] = said
        self._latest = (result, row)
        self.count += 1
        save_label_map(self.folder / MASKS / f"{result.name}.png", result.labels)
        assert self._frames is not None
        self._frames.write(json.dumps(row) + "\n")

    def save_now_and_then(self) -> None:
        """Saves the state after the first frame and from time to time, for what gives no warning."""
        began = time.monotonic()
        if began < self._next_saving:
            return
        self.save()
        took = time.monotonic() - began
        self._next_saving = began + took + max(_SECONDS_BETWEEN, _LEAST_WORK_PER_SAVING * took)

    def save(self) -> None:
        """Saves what is needed to go on after the latest frame."""
        import torch

        from ....core.atomic import replacing
        from ....modeling.video.state import session_state

        assert self._latest is not None and self._frames is not None
        result, row = self._latest
        self._frames.flush()
        # The latest frame is in the state itself: its own files may be what could not be written.
        state = {
            "count": self.count,
            "session": session_state(self._session),
            "row": json.dumps(row),
            "labels": torch.from_numpy(result.labels),
        }
        with replacing(self.folder / STATE) as partial:
            torch.save(state, partial)
        self._saved_count = self.count

    def finish(self) -> None:
        """Moves the results to their place."""
        from ....core.atomic import move_content

        self._clear(keep=tuple(self.names))
        self._stack.close()
        (self.folder / LOCK).unlink(missing_ok=True)
        move_content(self.folder, self.target)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: Any) -> None:
        with self._stack:
            if error is None:
                return
            wanted = self._inherited or not is_users_mistake(error)
            if wanted and self._saved():
                amount = self._amount()
                print(
                    f"{self.clip}: {amount} are kept in {self.folder}; the same command with --resume goes on",
                    file=sys.stderr,
                )
                return
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            for folder in self._missing:
                folder.rmdir()

    def _saved(self) -> bool:
        """Saves what can be saved, and says whether a later run can go on."""
        if self._consistent and self.count > self._saved_count:
            with suppress(OSError):
                self.save()
        return has_unfinished(self.target)

    def _amount(self) -> str:
        return f"{self._saved_count} of {self.total} frames" if self.total else f"{self._saved_count} frames"

    def _take_over(self, run: dict[str, Any]) -> None:
        from ....modeling.video.state import restore_session

        damaged = f"what --resume would go on with is damaged, --overwrite begins anew: {self.folder}"
        try:
            import torch

            before = json.loads((self.folder / RUN).read_text(encoding="utf-8"))
            state = torch.load(self.folder / STATE, weights_only=True)
            lines = (self.folder / FRAMES).read_text(encoding="utf-8").splitlines()[: state["count"] - 1]
            self._rows = [json.loads(line) for line in [*lines, state["row"]]]
        except Exception as error:  # whatever a damaged file makes of them
            raise UserError(f"{damaged} ({' '.join(str(error).split())[:200]})") from error
        if len(self._rows) != state["count"]:
            raise UserError(damaged)
        for name in sorted({*before, *run}):
            if before.get(name) != run.get(name):
                was, got = _short(before.get(name)), _short(run.get(name))
                raise UserError(
                    f"--resume needs the command of the run that it goes on with: {name} was {was}, got {got}; "
                    f"--overwrite begins anew: {self.target}"
                )
        from ....core.palette import save_label_map

        save_label_map(self.folder / MASKS / f"{self._rows[-1]['name']}.png", state["labels"].numpy())
        restore_session(self._session, state["session"])
        self.count = self._saved_count = state["count"]

    def _clear(self, keep: tuple[str, ...]) -> None:
        for entry in list(self.folder.iterdir()):
            if entry.name in (*keep, LOCK):
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()


def has_unfinished(target: Path) -> bool:
    """Whether a folder of results holds a run that can be gone on with."""
    return (target / UNFINISHED / STATE).is_file()


def newest_unfinished(name: str) -> Path | None:
    """Of the folders that were made for this name, `out/NAME`, `out/NAME-2`, ..., the last unfinished one."""
    numbered = re.compile(re.escape(name) + r"(-\d+)?")
    folders = [folder for folder in Path("out").glob("*") if numbered.fullmatch(folder.name) and has_unfinished(folder)]
    return max(folders, key=lambda folder: (folder / UNFINISHED / STATE).stat().st_mtime, default=None)


def _labels(file: Path) -> np.ndarray:
    from ....media.label_files import read_label_png

    try:
        return read_label_png(file, str(file))[0]
    except (OSError, ValueError) as error:
        raise UserError(f"a mask that --resume would go on with is missing or damaged: {file}") from error


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

"""Memory and time of turning the authors' files into models, on files of their sizes with random numbers in them.

    python benchmarks/conversion.py [--json] [uniref-pp-r50 uniref-pp-swin-l]

Each conversion runs in a process of its own (`uniref download NAME --from FILE`); its peak is that of the process, the
libraries included. The optimiser's state that such a file may hold besides is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from transformers_uniref.conversion.tensor_list import tensor_list
from transformers_uniref.core.released_models import RELEASED_BY_NAME

CHILD = """
import resource, sys
from transformers_uniref.frontends.cli.main import main
code = main(["download", *sys.argv[1:], "--text-encoder", "none", "--quiet"])
print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def measure(name: str, folder: Path) -> dict[str, float]:
    """Seconds, bytes of the file, and peak bytes of its conversion."""
    generator = torch.Generator().manual_seed(0)
    state: dict[str, torch.Tensor] = {}
    drawn: dict[str, torch.Tensor] = {}
    for key, entry in tensor_list(RELEASED_BY_NAME[name].tensor_list).items():
        first = key.replace("transformer.decoder.class_embed.", "class_embed.")
        first = first.replace("transformer.decoder.bbox_embed.", "bbox_embed.")
        if entry.optional:
            continue
        if first not in drawn:  # the heads are listed twice
            drawn[first] = torch.randn(entry.shape, generator=generator)
        state[key] = drawn[first]
    original = folder / f"{name}.pth"
    torch.save({"model": state}, original)
    del state, drawn
    environment = {**os.environ, "UNIREF_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1"}
    started = time.perf_counter()
    # The tokenizer is left out; it weighs nothing.
    done = subprocess.run(
        [sys.executable, "-c", CHILD, name, "--from", str(original)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    seconds = time.perf_counter() - started
    code, peak = done.stdout.split()[-2:]
    assert code == "0", done.stderr
    size = original.stat().st_size
    original.unlink()
    return {"seconds": seconds, "file_bytes": size, "peak_bytes": int(peak), "peak_over_file": int(peak) / size}


def main() -> None:
    """Prints a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", default=["uniref-pp-r50", "uniref-pp-swin-l"])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = {name: measure(name, Path(folder)) for name in arguments.names}
    if arguments.json:
        print(json.dumps(report))
        return
    for name, row in report.items():
        print(
            f"{name:<20} file {row['file_bytes'] / 1e6:6.0f} MB, peak {row['peak_bytes'] / 1e6:6.0f} MB "
            f"({row['peak_over_file']:.2f} of the file), {row['seconds']:.0f} s"
        )


if __name__ == "__main__":
    main()

"""The rules that draw the oracle's weights and inputs give, number for number, what the released code was run with."""

from __future__ import annotations

import os
import zlib

import numpy as np
import pytest

from oracle_support.drawn_cases import crc32
from oracle_support.folder import INPUTS, SUBSET, Oracle, draw_inputs, find_oracle
from transformers_uniref.verification.drawn_weights import generate, original_state_dict

ORACLE = find_oracle()
CHECKSUMS = {name: value for name, value in Oracle(SUBSET).json("manifests/weights_crc32").items() if name != "note"}
FAMILIES = [name for name in CHECKSUMS if name in Oracle(SUBSET).manifest_names()]


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_have_the_published_checksums(family: str) -> None:
    running, each = 0, CHECKSUMS[family].get("each", {})
    for entry in Oracle(SUBSET).manifest(family)["entries"]:
        if entry["rule"] == "gen":
            checksum = crc32(generate(entry["name"], entry["shape"]))
            assert checksum == each.get(entry["name"], checksum), entry["name"]
            running = zlib.crc32(str(checksum).encode(), running)
    assert running == CHECKSUMS[family]["all"]


def test_a_state_dict_lists_one_tensor_under_both_names_and_counters_at_zero() -> None:
    wanted = ("class_embed", "value_encoder.bn1", "criterion")
    entries = [e for e in Oracle(SUBSET).manifest("small_r50")["entries"] if any(part in e["name"] for part in wanted)]
    state = original_state_dict(entries)
    copies = [e for e in entries if "alias_of" in e]
    assert copies
    assert all((state[e["name"]] == state[e["alias_of"]]).all() for e in copies)
    assert state["value_encoder.bn1.num_batches_tracked"] == state["criterion._iter"] == 0


@pytest.mark.parametrize("family", ["small_r50", "small_sam", "train", "video"])
def test_inputs_have_the_recorded_checksums(family: str) -> None:
    drawn = Oracle(SUBSET).inputs(family)  # checks them
    assert drawn
    if "UNIREF_ORACLE" not in os.environ and (ORACLE.root / family / f"{INPUTS}.npz").is_file():
        stored = ORACLE.inputs(family)
        assert stored.keys() == draw_inputs(ORACLE, family).keys()
        for name, array in stored.items():
            np.testing.assert_array_equal(drawn[name], array, err_msg=name)

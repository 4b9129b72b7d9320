"""Sessions under inference mode, with models of half precision, and gone through by more than one iterator."""

from __future__ import annotations

import copy
import copyreg
import gc
import io
import pickle
import warnings
from contextlib import AbstractContextManager

import pytest
import torch

from transformers_uniref.modeling import precision
from transformers_uniref.modeling.video.memory import TrackedObject
from transformers_uniref.modeling.video.session import UniRefVideoSession, VideoOutput
from video_support import add_mask, add_text, clip, disc, offline, stream, tiny_model

NO_GATES = {"vos_score_threshold": None, "rvos_score_threshold": None}


def prompted(session: UniRefVideoSession) -> UniRefVideoSession:
    """An object by mask, one by sentence, one by both."""
    add_mask(session, 1)
    add_text(session, 2)
    add_mask(session, 3)
    add_text(session, 3, sentence=1)
    return session


def assert_close(ours: list[VideoOutput], theirs: list[VideoOutput], tolerance: float = 1e-4) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert one.object_ids == other.object_ids
        torch.testing.assert_close(one.pred_masks, other.pred_masks, atol=tolerance, rtol=0)


# ------------------------------------------------------------------------------------------------------- inference mode
def followed(*modes: type[AbstractContextManager]) -> list[VideoOutput]:
    """A stream, each frame and what is said before it in a mode of its own; a correction and a sentence in the last."""
    session, outputs = stream(**NO_GATES), []
    for index, (mode, frame) in enumerate(zip(modes, clip(len(modes)), strict=True)):
        with mode():
            if index == 0:
                prompted(session)
            if index == len(modes) - 1:
                add_mask(session, 1, frame=index)
                add_text(session, 2, frame=index, sentence=2)
            outputs.append(tiny_model()(inference_session=session, frame=frame))
    return outputs


def test_a_session_may_enter_and_leave_inference_mode_between_frames() -> None:
    plain = followed(*[torch.no_grad] * 4)
    for modes in ([torch.inference_mode] + [torch.no_grad] * 3, [torch.no_grad, torch.inference_mode] * 2):
        assert_close(followed(*modes), plain)


def test_a_clip_may_be_gone_through_again_outside_inference_mode() -> None:
    session = prompted(offline(4, **NO_GATES))
    with torch.inference_mode():
        begun = list(tiny_model().propagate_in_video_iterator(session, max_frames=2))
    assert not any(tensor.is_inference() for item in session.memory.objects.values() for tensor in item.tensors())
    begun += tiny_model().propagate_in_video_iterator(session, start_frame_idx=2)
    session.add_mask(1, 1, disc(1, 1))
    assert_close(begun, list(tiny_model().propagate_in_video_iterator(prompted(offline(4, **NO_GATES)))))
    assert len(list(tiny_model().propagate_in_video_iterator(session, start_frame_idx=3, reverse=True))) == 4


# --------------------------------------------------------------------------------------------------------------- dtypes
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_model_of_half_precision_follows_in_a_session_of_any_type(dtype: torch.dtype) -> None:
    model = copy.deepcopy(tiny_model()).to(dtype)
    exact = list(tiny_model().propagate_in_video_iterator(prompted(offline(3, **NO_GATES))))
    for options in ({}, {"dtype": torch.float32}, {"dtype": dtype}, {"dtype": "auto"}):
        session = prompted(offline(3, **NO_GATES, **options))
        found = list(model.propagate_in_video_iterator(session))
        for ours, theirs in zip(found, exact, strict=True):
            assert ours.pred_masks.dtype == torch.float32 and ours.pred_masks.isfinite().all()
            torch.testing.assert_close(ours.object_scores, theirs.object_scores, atol=0.08, rtol=0)
        session.add_mask(1, 1, disc(1, 1))  # begins anew, from remembered masks
        assert len(list(model.propagate_in_video_iterator(session, start_frame_idx=2))) == 1


@pytest.fixture
def processor_with(monkeypatch: pytest.MonkeyPatch):
    """Lets this machine's processor have given instructions only."""

    def pretend(*features: str) -> None:
        monkeypatch.setattr(precision, "processor_features", lambda: frozenset(features))
        monkeypatch.setattr(precision, "_told", set())
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)

    return pretend


@pytest.mark.parametrize(
    ("features", "fastest", "slow"),
    [
        (["avx2"], torch.float32, {torch.bfloat16, torch.float16}),
        (["avx2", "avx512_f", "avx512_bf16"], torch.float32, {torch.float16}),
        (["avx512_bf16", "amx_tile", "amx_bf16"], torch.bfloat16, {torch.float16}),
        (["amx_bf16", "amx_fp16"], torch.bfloat16, set()),
        (["neon"], torch.float32, {torch.bfloat16, torch.float16}),
        (["neon", "bf16", "fp16_arith"], torch.float32, set()),
    ],
)
def test_auto_is_what_the_processor_computes_fast(processor_with, features, fastest, slow) -> None:
    processor_with(*features)
    assert stream(dtype="auto").dtype == fastest
    assert {dtype for dtype in precision.HALF if precision.why_slow(dtype, "cpu")} == slow
    assert not precision.why_slow(torch.float32, "cpu") and not precision.why_slow(torch.bfloat16, "cuda")


def test_without_onednn_half_precision_is_slow_on_any_processor(processor_with, monkeypatch) -> None:
    processor_with("amx_bf16")
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert precision.fast_dtype("cpu") == torch.float32 and precision.why_slow(torch.bfloat16, "cpu")


@pytest.mark.parametrize(("capability", "fastest"), [((9, 0), torch.bfloat16), ((7, 5), torch.float16)])
def test_auto_is_half_precision_on_cuda(monkeypatch, capability, fastest) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.version, "hip", None)
    assert stream(dtype="auto", inference_device="cuda").dtype == fastest
    assert precision.fast_dtype("mps") == torch.float32


def test_slow_half_precision_is_told_once_by_sessions_and_by_models(processor_with) -> None:
    processor_with("avx2")
    with pytest.warns(UserWarning, match="no instructions for bfloat16.*ten to twenty times.*auto"):
        stream(dtype=torch.bfloat16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stream(dtype=torch.bfloat16)
        stream()
    processor_with("avx2")
    session = stream(**NO_GATES)
    add_mask(session, 1)
    with pytest.warns(UserWarning, match="no instructions for bfloat16"):
        copy.deepcopy(tiny_model()).to(torch.bfloat16)(inference_session=session, frame=clip(1)[0])


def test_the_processor_is_asked_in_a_way_that_never_fails(monkeypatch, tmp_path) -> None:
    precision.processor_features.cache_clear()
    asked = precision.processor_features()
    assert asked is None or all(isinstance(name, str) for name in asked)
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    for text, expected in (
        ("processor\t: 0\nflags\t\t: fpu avx2 amx_bf16\n", {"fpu", "avx2", "amx_bf16"}),
        ("Features\t: fp asimd bf16\n", {"fp", "asimd", "bf16"}),
        ("nothing of use", None),
        (None, None),
    ):
        file = tmp_path / "cpuinfo"
        file.unlink(missing_ok=True)
        if text is not None:
            file.write_text(text)
        monkeypatch.setattr(precision, "_CPU_INFO", file)
        precision.processor_features.cache_clear()
        assert precision.processor_features() == expected
    assert precision.fast_dtype("cpu") == torch.float32 and not precision.why_slow(torch.bfloat16, "cpu")
    precision.processor_features.cache_clear()


@pytest.mark.parametrize("dtype", ["half", torch.float64, None, 16])
def test_other_types_are_refused(dtype: object) -> None:
    with pytest.raises(ValueError, match='`dtype` must be torch.float32, .* or "auto"; got'):
        stream(dtype=dtype)


# ------------------------------------------------------------------------------------------------------------ iterators
def test_two_iterators_in_the_middle_of_one_session_are_refused() -> None:
    session = prompted(offline(3))
    first, second = (tiny_model().propagate_in_video_iterator(session) for _ in range(2))
    next(first)
    with pytest.raises(RuntimeError, match="`inference_session` is being gone through by another iterator.*release"):
        next(second)
    with pytest.raises(RuntimeError, match="another iterator"):
        tiny_model().propagate_in_video_iterator(session, reverse=True)
    assert [output.frame_idx for output in first] == [1, 2]


@pytest.mark.parametrize("ending", ["exhausted", "closed", "forgotten", "failed", "left", "never begun"])
def test_an_iterator_that_has_ended_is_in_nobodys_way(ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    session = prompted(offline(2))
    iterator = tiny_model().propagate_in_video_iterator(session)
    if ending == "left":
        for _ in tiny_model().propagate_in_video_iterator(session):
            break
    elif ending != "never begun":
        next(iterator)
    if ending == "exhausted":
        list(iterator)
    elif ending == "closed":
        iterator.close()
    elif ending == "forgotten":
        del iterator
        gc.collect()
    elif ending == "failed":
        with monkeypatch.context() as patch, pytest.raises(OSError):
            patch.setattr(session, "frame", lambda index: (_ for _ in ()).throw(OSError("gone")))
            next(iterator)
    assert len(list(tiny_model().propagate_in_video_iterator(session))) == 2


def test_a_session_is_released_from_an_iterator_that_is_still_held() -> None:
    session = prompted(offline(3))
    held = tiny_model().propagate_in_video_iterator(session)
    next(held)
    assert len(list(tiny_model().propagate_in_video_iterator(copy.deepcopy(session)))) == 3  # a copy is free
    session.release()
    assert len(list(tiny_model().propagate_in_video_iterator(session))) == 3
    with pytest.raises(RuntimeError, match="ended by `release` or `reset`"):
        next(held)


# -------------------------------------------------------------------------------------------------------------- pickles
class EarlierPickler(pickle.Pickler):
    """Writes a session as it was when it held its prompts and its memory itself."""

    def reducer_override(self, item: object) -> object:
        if isinstance(item, TrackedObject):
            parts = vars(item.memory)
            return copyreg.__newobj__, (type(item),), {"text": item.text, "given": item.given, **parts}
        if isinstance(item, UniRefVideoSession):
            state = {key: value for key, value in vars(item).items() if key not in ("prompts", "memory", "lock")}
            state |= {f"_{name}": getattr(item.memory, name) for name in ("last_frame", "reverse", "restart_needed")}
            state |= {"_prompts": dict(item.prompts), "_tracked": item.memory.objects, "_running": None}
            return copyreg.__newobj__, (type(item),), state
        return NotImplemented


def test_a_session_that_was_pickled_before_its_parts_had_files_of_their_own_goes_on() -> None:
    session = prompted(stream(**NO_GATES))
    frames = clip(3)
    for frame in frames[:2]:
        tiny_model()(inference_session=session, frame=frame)
    file = io.BytesIO()
    EarlierPickler(file, protocol=2).dump(session)
    content = file.getvalue().replace(b"modeling.video.references", b"modeling.video_references")
    for name in (b"memory", b"prompts", b"session"):
        content = content.replace(b"modeling.video." + name, b"modeling.video_session")
    assert b"modeling.video." not in content
    copies = pickle.loads(content), pickle.loads(pickle.dumps(session)), session
    earlier, present, expected = (tiny_model()(inference_session=each, frame=frames[2]) for each in copies)
    assert torch.equal(earlier.pred_masks, expected.pred_masks)
    assert torch.equal(present.pred_masks, expected.pred_masks)

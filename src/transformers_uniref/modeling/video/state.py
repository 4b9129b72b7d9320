"""The memory of a stream as plain tensors, so that it can be kept in a file and gone on with."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ...core.errors import UsageError
from .memory import ObjectMemory, SessionMemory, TrackedObject
from .prompts import TextPrompt
from .references import ReferenceSlot
from .session import UniRefVideoSession

_SLOTS = ("initial", "previous")


def session_state(session: UniRefVideoSession) -> dict[str, Any]:
    """What a stream remembers after its latest frame: tensors on the CPU, numbers, lists and dictionaries of them.

    `torch.save` writes it and `torch.load(..., weights_only=True)` reads it. Sentences, and masks for frames to come,
    are not in it: they are prompts, and are given again.

    ```python
    torch.save(session_state(session), "state.pt")
    # later, in another process
    session = processor.init_video_session()
    processor.add_text_prompt(session, obj_ids=[1], text=["the dog"])
    restore_session(session, torch.load("state.pt", weights_only=True))
    output = model(inference_session=session, frame=next_frame)  # as if nothing had been between
    ```

    Raises:
        ValueError: `session` has a video of its own; there the frame at which to begin is chosen when propagating.
    """
    _require_stream(session)
    return {
        "next_frame_idx": session.next_frame_idx,
        "video_size": None if session.video_size is None else list(session.video_size),
        "object_ids": session.object_ids,
        "last_id": session.memory.last_id,
        "groups": list(session.groups),
        "objects": {obj_id: _object_state(item) for obj_id, item in sorted(session.memory.objects.items())},
    }


def restore_session(session: UniRefVideoSession, state: dict[str, Any]) -> None:
    """Lets a new stream, which has the same prompts, go on where another one was.

    Args:
        session: that has not seen a frame; sentences were added for its first one. Masks for later frames may be added
            before or after.
        state: of `session_state`.

    Raises:
        ValueError: `session` is no new stream, or lacks the sentence of an object that was looked for by one.
    """
    _require_stream(session)
    if session.next_frame_idx:
        raise UsageError(f"`session` must be new, it has seen {session.next_frame_idx} frames; call reset() first.")
    if not state["next_frame_idx"]:
        return
    last = state["next_frame_idx"] - 1
    for obj_id in state["object_ids"]:
        if state["objects"].get(obj_id, {}).get("group") is None:
            session.prompts.of(obj_id)
    texts = session.prompts.texts_at(last, reverse=False)
    # The same sentences may have other numbers, where some were removed before.
    numbers = dict(zip(state.get("groups", range(len(session.groups))), session.groups, strict=False))
    objects = {}
    for obj_id, values in state["objects"].items():
        if values["by_text"] and obj_id not in texts:
            raise UsageError(f"`session` must have the sentence of object {obj_id}, got none; add it before.")
        if values.get("group") is not None and values["group"] not in numbers:
            raise UsageError("`session` must have the sentences for all objects, got fewer; add them before.")
        values = {**values, "group": numbers.get(values.get("group"))}
        objects[obj_id] = _restored_object(session, values, texts.get(obj_id) if values["by_text"] else None)
    session.memory = SessionMemory(restart_needed=False)
    session.commit(last, False, tuple(state["video_size"]), objects, state.get("last_id", 0))


def _object_state(item: TrackedObject) -> dict[str, Any]:
    slots = {name: slot for name in _SLOTS if (slot := getattr(item.memory, name)) is not None}
    last_mask = item.memory.last_mask
    return {
        "given": item.given,
        "by_text": item.text is not None,
        "last_mask": None if last_mask is None else _on_cpu(last_mask),
        "group": item.group,
        "unseen": item.unseen,
        "lost_mask": None if item.lost_mask is None else _on_cpu(item.lost_mask),
        "slots": {
            name: {"frame_idx": slot.frame_idx, "levels": [_on_cpu(tensor) for tensor in slot.tensors()]}
            for name, slot in slots.items()
        },
    }


def _restored_object(session: UniRefVideoSession, values: dict[str, Any], text: TextPrompt | None) -> TrackedObject:
    device, last_mask = session.inference_device, values["last_mask"]
    slots = {
        name: ReferenceSlot.from_tensors([tensor.to(device) for tensor in slot["levels"]], slot["frame_idx"])
        for name, slot in values["slots"].items()
    }
    last_mask = None if last_mask is None else last_mask.to(device)
    lost_mask = values.get("lost_mask")
    return TrackedObject(
        text,
        values["given"],
        ObjectMemory(**slots, last_mask=last_mask),
        values.get("group"),
        values.get("unseen", 0),
        None if lost_mask is None else lost_mask.to(device),
    )


def _on_cpu(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True).contiguous()


def _require_stream(session: UniRefVideoSession) -> None:
    if not session.is_stream:
        raise UsageError("`session` must be a stream, made without a video; one with a video can begin at any frame.")


__all__ = ["restore_session", "session_state"]

"""The model card of a repository, rendered from what its folder holds."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from ..core.families import PIPELINE_CLASSES
from ..core.provenance import Provenance
from ..core.released_models import AUTHORS, CODE_LICENSE, RELEASED_BY_NAME
from ..evaluation.results_file import eval_results, is_of_dataset, results_table
from ..evaluation.wording import markdown_table
from .architecture import describe_architecture
from .card_code import code_blocks
from .folder import ModelFolder

MARK = "Rendered by transformers_uniref"
"""A card with these words in it was made here, and is made anew when its model is pushed again."""

_PLACEHOLDER = "[More Information Needed]"
_HUMAN = {
    "referring-segmentation": "referring segmentation (a sentence, a picture)",
    "referring-video-segmentation": "referring video segmentation (a sentence, a clip)",
    "few-shot-segmentation": "few-shot segmentation (annotated examples, a picture)",
    "video-object-segmentation": "video object segmentation (masks in one frame, a clip)",
}


def read_template(name: str) -> str:
    """The text of a file in `hub/templates`."""
    return files(__package__).joinpath(f"templates/{name}").read_text(encoding="utf-8")


def card_metadata(
    *,
    tasks: list[str],
    license: str,
    name: str,
    evaluation: dict[str, Any] | None = None,
    model_type: str = "uniref",
    library: str = "transformers",
    base_model: str = "",
    base_model_relation: str = "",
    datasets: list[str] | None = None,
    language: str | None = None,
) -> ModelCardData:
    """What the Hub reads of a card. `base_model` and `datasets` are ids of the Hub, and so is the licence there.

    Args:
        tasks: names of the pipelines.
        evaluation: the JSON of `uniref evaluate`; its measures become the `model-index` of `name`.
        library: "transformers", or "peft" for an adapter.
        base_model_relation: "adapter" or "finetune".
    """
    measured: list[EvalResult] = eval_results(evaluation) if evaluation else []
    known: dict[str, Any] = {"base_model": base_model, "datasets": datasets, "language": language}
    known["base_model_relation"] = base_model_relation if base_model else None
    return ModelCardData(
        library_name=library,
        pipeline_tag="image-segmentation",
        license=license,
        tags=list(dict.fromkeys(["uniref", model_type, *tasks])),
        model_name=name if measured else None,
        eval_results=measured or None,
        **{key: value for key, value in known.items() if value},
    )


def metadata_of(folder: ModelFolder, repo_id: str, license: str) -> ModelCardData:
    """The metadata of a folder's card."""
    adapter = folder.kind == "adapter"
    data = folder.provenance.data if folder.provenance else []
    return card_metadata(
        tasks=folder.tasks,
        license=license,
        name=repo_id.split("/")[-1],
        evaluation=folder.evaluation,
        model_type=folder.config.model_type if folder.config is not None else "uniref",
        library="peft" if adapter else "transformers",
        base_model=folder.base_model,
        base_model_relation="adapter" if adapter else "finetune",
        datasets=[part["source"] for part in data if part.get("source")],
    )


def render_card(folder: ModelFolder, repo_id: str, license: str, revision: str | None = None) -> str:
    """The card of a folder, as Markdown with its metadata in front. Its code loads from the repository.

    `revision`: the branch, where it is not the main one.
    """
    card = ModelCard.from_template(
        metadata_of(folder, repo_id, license),
        template_str=read_template("model_card.md"),
        name=repo_id.split("/")[-1],
        summary=_summary(folder),
        requirement='"transformers-uniref[train]"' if folder.kind == "adapter" else "transformers-uniref",
        code=code_blocks(folder, repo_id, revision),
        architecture=_architecture(folder),
        training=_training(folder),
        results=_results(folder),
        limits=_limits(folder),
        license_text=_license(folder, license),
        citation=read_template("citation.bib").strip(),
    )
    return f"{str(card).rstrip()}\n"


def complete_card(text: str, folder: ModelFolder, repo_id: str, license: str) -> str:
    """A card that somebody wrote, with the metadata that it lacks; what it says stays."""
    card = ModelCard(text, ignore_metadata_errors=True)
    own = card.data.to_dict()
    wanted = metadata_of(folder, repo_id, license).to_dict()
    tags = list(dict.fromkeys([*own.get("tags", []), *wanted.pop("tags")]))
    card.data = ModelCardData(**{**wanted, **own, "tags": tags})
    return str(card)


def is_own_work(text: str) -> bool:
    """Whether somebody wrote this card: neither this package nor a placeholder of another library."""
    return MARK not in text and _PLACEHOLDER not in text


def _summary(folder: ModelFolder) -> str:
    family = "UniRef-SAM" if folder.config is not None and folder.config.model_type == "uniref_sam" else "UniRef++"
    if folder.kind == "processor":
        return f"The processor of a {family} model: pictures, sentences and annotated examples in; masks and boxes out."
    does = "; ".join(_HUMAN[task] for task in PIPELINE_CLASSES if task in folder.tasks)
    if folder.kind == "adapter":
        base = folder.base_model
        return f"An adapter for the {family} model [{base}](https://huggingface.co/{base}): {does}."
    return f"A {family} model: one set of weights for {does}."


def _architecture(folder: ModelFolder) -> list[tuple[str, str]]:
    rows = [] if folder.config is None else describe_architecture(folder.config)
    if folder.kind == "adapter":
        adapter = folder.adapter
        kind = str(adapter.get("peft_type", "PEFT"))
        if adapter.get("r"):
            kind += f", rank {adapter['r']}" + (f", alpha {adapter['lora_alpha']}" if "lora_alpha" in adapter else "")
        if adapter.get("use_dora"):
            kind = f"DoRA, {kind}"
        rows = [("adapter", kind), *((f"base model: {label}", value) for label, value in rows)]
        if whole := adapter.get("modules_to_save"):
            rows.insert(1, ("modules trained whole", ", ".join(f"`{name}`" for name in whole)))
    if folder.parameters:
        stored = f", stored as {folder.dtypes}" if folder.dtypes else ""
        rows.insert(0, ("parameters", f"{folder.parameters:,}{stored}"))
    if folder.kind != "adapter" and "referring-segmentation" in folder.tasks and not folder.reads_sentences:
        rows.append(("tokenizer", "none: sentences are given as token ids"))
    return rows


def _training(folder: ModelFolder) -> str:
    known = folder.provenance
    if known is None:
        return "The files of this repository do not say what the weights were trained on, nor how."
    if known.released in RELEASED_BY_NAME:
        return _released(known)
    if known.origin == "converted":
        return (
            f"Converted by {known.package} (`uniref convert`) from the file `{known.source}`, SHA-256 "
            f"`{known.source_sha256}`. The file does not say what it was trained on; the paper does for the weights "
            "that its authors released."
        )
    starts = [f"{part} from `{name}`" for part, name in known.started_from.items() if name]
    starting = f" Start values: {'; '.join(starts)}." if starts else ""
    if known.origin == "assembled":
        return (
            "**Not trained.** Assembled around a SAM by `uniref convert`: the reference encoders and the fusion "
            f"have random weights, and the fusion changes nothing yet.{starting}"
        )
    return f"{_recipe(known)}{starting}"


def _released(known: Provenance) -> str:
    """Of the authors' weights, wherever they were fetched."""
    weights = RELEASED_BY_NAME[known.released]
    return (
        f"The weights that the authors of UniRef++ released ([their repository]({AUTHORS})): {weights.backbone}, after "
        f"their {weights.stage}. This is their file in another format, converted by {known.package} (`uniref download "
        f"{known.released}`); no value was changed.\n\n"
        f"| | |\n|---|---|\n| file | {known.source} |\n| SHA-256 of the file | `{known.source_sha256}` |"
    )


def _recipe(known: Provenance) -> str:
    trained = (
        f"Trained by {known.package}: recipe `{known.recipe}`, {known.steps:,} steps, seed {known.seed} "
        f"(`uniref train {known.recipe}`)."
    )
    rows = []
    for part in known.data:
        source = part.get("source", "")
        link = f"[{source}](https://huggingface.co/datasets/{source})" if source else "not on the Hub"
        if part["name"] == "procedural world":
            link = "`transformers_uniref.worlds.World`"
        rows.append((part["name"], part["task"], link))
    return "\n".join([trained, "", *markdown_table(("data", "task", "source"), rows), "", ""])


def _results(folder: ModelFolder) -> str:
    published = _published(folder.provenance)
    if folder.evaluation is None:
        return f"{published}None were measured with this package on these weights, so none are claimed."
    settings = folder.evaluation["settings"]
    if is_of_dataset(folder.evaluation):
        asked = "as the released code" if settings["preset"] == "paper" else "with this model's own settings"
        return (
            f"{published}Measured with `uniref evaluate` on these very weights: {folder.evaluation['title']} "
            f"(`{folder.evaluation['dataset']}`), split {folder.evaluation['split']}, {asked}.\n\n"
            f"{results_table(folder.evaluation)}"
        )
    return (
        f"{published}Measured with `uniref evaluate` on these very weights: "
        f"{settings['dataset']}, split {settings['split']}, seed {settings['seed']}, {settings['images']} images and "
        f"{settings['clips']} clips. Definitions: the help of `uniref evaluate`.\n\n{results_table(folder.evaluation)}"
    )


def _published(known: Provenance | None) -> str:
    """What the authors published for these weights, marked as theirs; empty for others."""
    weights = RELEASED_BY_NAME.get(known.released) if known is not None else None
    if weights is None or not weights.figures:
        return ""
    rows = [(figure.title, figure.split, figure.measure, f"{figure.value:g}") for figure in weights.figures]
    table = markdown_table(("data set", "split", "measure", "published"), rows)
    whose = f"**Published by the authors** ([model zoo]({AUTHORS}) and paper), in percent, with their code"
    return "\n".join([f"{whose}; not measured here:", "", *table, "", ""])


def _limits(folder: ModelFolder) -> str:
    known = folder.provenance
    lines = [
        "For finding and following the object that somebody refers to: in photo and video editing, annotation, and "
        "research. Whether an object is there at all is told by the score: below the model's gate (`score_threshold` "
        "of its processor, or `threshold`) its mask is empty.",
        "",
    ]
    if known is not None and known.origin == "assembled":
        lines += ["It has yet to be trained; its masks mean nothing.", ""]
    elif known is not None and all(part["name"] == "procedural world" for part in known.data) and known.data:
        lines += ["It was trained on drawn scenes alone; on photographs its masks are not usable.", ""]
    lines.append(
        "It knows what its training data showed, with their gaps and biases, and nothing was measured beyond what "
        "stands under Results. Not for identifying or watching people, and not where a wrong mask can do harm."
    )
    return "\n".join(lines)


def _license(folder: ModelFolder, license: str) -> str:
    what = "processor's files" if folder.kind == "processor" else "weights"
    stated = f"{what.capitalize()}: `{license}`, as stated by who pushed this repository."
    if folder.provenance is not None and folder.provenance.released:
        stated += (
            f" Their authors' code is under the {CODE_LICENSE} licence; the released file names none for the weights."
        )
    return f"{stated} Code (transformers_uniref): Apache-2.0."

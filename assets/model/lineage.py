"""Walking manifests: from a plan to its tokenizer, parent, arrays and documents, and up to the archive."""

from collections.abc import Iterator
from pathlib import Path

from pipelines.core.artifacts import Artifact
from pipelines.model.plans.plan import Pinned, Plan
from resources.mill import Mill
from resources.store import ArtifactStore


def pin(artifact: Artifact) -> Pinned:
    """A backward reference to an artifact."""
    manifest = artifact.manifest
    return Pinned(
        asset=manifest.asset, partition=manifest.partition, manifest=artifact.digest, content=artifact.content
    )


def plan_of(artifact: Artifact) -> Plan:
    """The plan inside a plan artifact, or behind a mixture, checkpoint or report."""
    if any("plan" in part.files for part in artifact.parts):
        return Plan.model_validate_json(artifact.bytes_of("plan"))
    store = artifact.objects
    assert isinstance(store, ArtifactStore)
    for name in ("plan", "checkpoint"):
        if name in artifact.manifest.inputs:
            return plan_of(store.open(artifact.manifest.inputs[name].manifest))
    raise KeyError(f"{artifact.manifest.asset} does not lead to a plan")


def upstream(store: ArtifactStore, artifact: Artifact, asset: str) -> Artifact | None:
    """The artifact of `asset` that this one was made from, for the same partition, however far up."""
    waiting, seen = [artifact], set[str]()
    while waiting:
        current = waiting.pop(0)
        if current.manifest.asset == asset:
            return current
        for reference in current.manifest.inputs.values():
            if reference.partition == artifact.manifest.partition and reference.manifest not in seen:
                seen.add(reference.manifest)
                waiting.append(store.open(reference.manifest))
    return None


def array_paths(mill: Mill, plan: Plan) -> Iterator[tuple[str, Path, Path]]:
    """(rows digest, path of the training array, path of its index) of every part of a plan."""
    manifests = {part.manifest: mill.store.open(part.manifest) for part in plan.parts}
    for planned in plan.parts:
        artifact = manifests[planned.manifest]
        part = next(item for item in artifact.parts if item.name == planned.part)
        yield planned.digest, artifact.path(part, "train"), artifact.path(part, "train_index")


def stream_files(mixture: Artifact, prefix: str) -> dict[str, Path]:
    """`<stream>/<array>` -> path of a mixture's files under a prefix: `packed/` row tables, `selected/` selections."""
    part = mixture.parts[0]
    roles = (role for role in part.files if role.startswith(prefix))
    return {role.removeprefix(prefix): mixture.path(part, role) for role in roles}


def model_folder(mill: Mill, checkpoint: Artifact, folder: Path) -> Path:
    """A Hugging Face folder of a checkpoint: links to its files under their own names."""
    folder.mkdir(parents=True, exist_ok=True)
    part = checkpoint.parts[0]
    for role in part.files:
        if role.endswith((".safetensors", ".json")):
            link = folder / role
            link.unlink(missing_ok=True)
            link.symlink_to(checkpoint.path(part, role))
    return folder

"""clipwarden compile: a policy and a model in, a bundle out that a server loads without a text encoder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clipwarden.errors import ConfigError
from clipwarden.terminal import print_facts

if TYPE_CHECKING:
    from clipwarden.policy.bundle.compiled import CompiledPolicy


def compile_(
    policy: Annotated[str, typer.Argument(help="Policy file, or the name of a shipped policy.", show_default=False)],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The bundle to write or replace.", show_default=False)
    ],
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Model folder. Default: the embedded model.")
    ] = None,
    cache: Annotated[bool, typer.Option(help="Whether to use and fill the cache of text vectors.")] = True,
) -> None:
    """Embed a policy's texts with a model, once, and write a bundle that servers load.

    A bundle holds the policy, its vectors, its digest and the model's fingerprint; a server with another model refuses
    it. Texts embedded before are taken from a cache, so that a changed threshold embeds nothing.

    **Examples**

    - `clipwarden compile policies/default.yaml --model ./clip-b32 -o default.bundle`

    - `clipwarden serve --model ./clip-b32 --policy default.bundle`
    """
    from clipwarden.cli.loading import load_named_model, notice_findings, progress_bar, vector_cache
    from clipwarden.engine.linefindings import scale_look
    from clipwarden.engine.snapshot import find_policy
    from clipwarden.policy.bundle.cache import VectorCache
    from clipwarden.policy.bundle.compile import compile_policy
    from clipwarden.policy.bundle.file import write_bundle
    from clipwarden.policy.bundle.lint import lint_with_model
    from clipwarden.policy.bundle.load import is_bundle
    from clipwarden.policy.bundle.vectors import embedded_texts
    from clipwarden.policy.language.load import load_policy
    from clipwarden.policy.versions import reused_version
    from clipwarden.textfiles.findings import Findings, in_file_order

    path = find_policy(policy)
    if is_bundle(path):
        raise ConfigError(f"{path} is a bundle already; compile the policy file that it was made from.")
    if not output.absolute().parent.is_dir():
        raise ConfigError(f"There is no folder {output.absolute().parent} to write the bundle into.")
    if output.is_file() and output.stat().st_size and not is_bundle(output):
        raise ConfigError(f"{output} is there and no bundle; it is not overwritten. Name another file with -o.")
    loaded = load_policy(path)
    with_model = load_named_model(model)
    vectors = vector_cache() if cache else VectorCache()
    embedded = 0
    findings = Findings(loaded.positions.file, loaded.positions.places)
    with progress_bar(f"Embedding the texts of {path.name}") as advance:

        def count(done: int, total: int) -> None:
            nonlocal embedded
            embedded = total
            advance(done, total)

        compiled = compile_policy(loaded.policy, model=with_model, cache=vectors, progress=count, findings=findings)
    look = scale_look(with_model) or (lambda _compiled, _positions: ())
    noticed = lint_with_model(loaded.policy, with_model, loaded.positions, cache=vectors, usable=findings)
    found = [*loaded.warnings, *noticed, *look(compiled, loaded.positions), *filter(None, [reused_version(path)])]
    notice_findings(in_file_order(found))
    write_bundle(compiled, output)
    texts, learned = len(embedded_texts(loaded.policy)), _learned(compiled)
    rows = {
        "Bundle": f"{output}, {output.stat().st_size:,} bytes",
        "Policy": f"{loaded.policy.metadata.id}, {compiled.digest}",
        "Model": f"{with_model.manifest.name}, {compiled.fingerprint}",
        "Texts": f"{texts} in their templates: {embedded} embedded now, {texts - embedded} from the cache",
    }
    if learned:
        rows["Learned"] = f"{learned}, from the policy's own files"
    print_facts(rows)


def _learned(compiled: "CompiledPolicy") -> str:
    from clipwarden.policy.bundle.vectors import scored_concepts
    from clipwarden.policy.schema import LearnedVector

    phrases = (phrase for concept in scored_concepts(compiled.policy) for phrase in concept.phrases)
    counts = {
        "vector": len({phrase.values for phrase in phrases if isinstance(phrase, LearnedVector)}),
        "head": len(set(compiled.heads)),
    }
    return " and ".join(f"{count} {name}{'' if count == 1 else 's'}" for name, count in counts.items() if count)

"""Measures the exported checkpoint: `python -m tools.embedded_model.evaluate`.

Fixed prompts and seeds. Logs a table, writes evaluation.json in the cache folder and the grids of
the model card.
"""

import argparse
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open_clip

from tools.embedded_model.captions import NUMBERS, plural
from tools.embedded_model.classifier import Classifier, ensure_classifier, ranks
from tools.embedded_model.clip import FOLDER_NAME, encode_words, load_clip, word_ranks
from tools.embedded_model.compose import Look, draw_look, paint
from tools.embedded_model.concepts import (
    COLOURS,
    CONCEPTS,
    COUNTS,
    FIRST_FAIR_CONCEPT,
    STYLES,
    TINTS,
    is_count_held_out,
    is_ground_held_out,
    is_pair_held_out,
    is_tint_held_out,
)
from tools.embedded_model.counter import ensure_counter, numbers
from tools.embedded_model.data import Picture, ensure_pack, read_pack
from tools.embedded_model.drawing import Drawer, seconds_from_a_cold_start
from tools.embedded_model.export import NAME
from tools.embedded_model.grid import tile, write_sheet
from tools.embedded_model.latents import concept_pictures
from tools.embedded_model.measures import (
    background_share,
    best_ranks,
    both_shown,
    ground_colours,
    pair_ranks,
    recognition,
    saturation,
    tint_share,
    windows,
)
from tools.embedded_model.results import Results
from tools.embedded_model.scenes import Part, Scene, paint_scene

log = logging.getLogger(__name__)

SEED = 1000
SIZES = ((96, 96), (160, 160), (192, 192), (160, 128), (192, 128), (128, 192))
CFG_SCALES = (1.0, 3.0, 5.0, 8.0, 12.0)
CANVAS_OF_PAIRS = ((128, 128), (192, 128))
GRID_PICTURES = 64
GAP_FROM_PX = 96
HOLE_FROM_PX = 8
COMBINATIONS = 20

Result = dict[str, object]


@dataclass(frozen=True, slots=True)
class Bench:
    """What every measurement needs."""

    drawer: Drawer
    judge: Classifier
    drawings: dict[tuple[int, int], Picture]
    models: Path
    cache: Path
    grids: Path
    """Pictures for the model card are named after this path."""


def known_concepts() -> list[int]:
    """Indices of the concepts that the UNet was trained on."""
    return [index for index, concept in enumerate(CONCEPTS) if not concept.is_postponed]


def measure_concepts(bench: Bench) -> Result:
    """Criterion 1: every concept without a style and in one, its style alternating."""
    indices = known_concepts()
    drawn = [style for style in STYLES if style.draws > 0]
    plain = [f"a {CONCEPTS[i].name}" for i in indices]
    styled = [f"{CONCEPTS[i].name}, {drawn[i % len(drawn)].words}" for i in indices]
    pictures = bench.drawer.draw(plain, seed=SEED)
    in_style = bench.drawer.draw(styled, seed=SEED + 500)
    for part in range(0, len(pictures), GRID_PICTURES):
        sheet = pictures[part : part + GRID_PICTURES]
        write_sheet(tile(sheet, columns=8), bench.grids, f"concepts-{part // GRID_PICTURES + 1}")
    places, styled_places = (ranks(bench.judge, p, indices) for p in (pictures, in_style))
    # The same pictures asked for their neighbour's concept: a judge that can't say no shows here.
    control = ranks(bench.judge, pictures, indices[-1:] + indices[:-1])
    return {
        "no style": recognition(places).rounded(),
        "named style": recognition(styled_places).rounded(),
        "control": recognition(control).rounded(),
        "missed": [CONCEPTS[i].name for i, place in zip(indices, places, strict=True) if place > 4],
    }


def measure_colours(bench: Bench) -> Result:
    """Criterion 2: tints and backgrounds, combinations trained and held out."""
    result: Result = {}
    for name, is_held_out in (("trained", False), ("held out", True)):
        if is_held_out and len(_fair_concepts()) < COMBINATIONS:
            # Every combination of older concepts was trained before some were held out.
            continue
        tints = _combinations(TINTS, is_tint_held_out, is_held_out)
        prompts = [f"a {tint} {CONCEPTS[c].name}" for c, tint in tints]
        pictures = bench.drawer.draw(prompts, seed=SEED)
        result[f"tint, {name}"] = {
            "prompts": len(tints),
            "colour as asked": round(tint_share(pictures, [tint for _, tint in tints]), 3),
            "concept among first five": _first_five(bench, pictures, [c for c, _ in tints]),
        }
        grounds = _combinations(tuple(COLOURS), is_ground_held_out, is_held_out)
        prompts = [f"a {CONCEPTS[c].name} on a {colour} background" for c, colour in grounds]
        pictures = bench.drawer.draw(prompts, seed=SEED)
        result[f"background, {name}"] = {
            "prompts": len(grounds),
            "colour as asked": round(background_share(pictures, [g for _, g in grounds]), 3),
            "concept among first five": _first_five(bench, pictures, [c for c, _ in grounds]),
        }
        write_sheet(tile(pictures, columns=8), bench.grids, f"backgrounds-{name.replace(' ', '-')}")
    result["tint measure on real drawings"] = _check_tint_measure(bench)
    return result


def measure_sizes(bench: Bench) -> Result:
    """Criterion 1, other sizes: a thing counts if any square crop shows it."""
    chosen = _spread(16)
    result: Result = {}
    for canvas in SIZES:
        prompts = [f"a {CONCEPTS[c].name}" for c in chosen]
        pictures = bench.drawer.draw(prompts, seed=SEED, canvas=canvas)
        places = best_ranks(bench.judge, pictures, chosen)
        result[f"{canvas[0]}×{canvas[1]}"] = recognition(places).rounded()
        write_sheet(tile(pictures[:8], columns=8), bench.grids, f"size-{canvas[0]}x{canvas[1]}")
    return result


def measure_pairs(bench: Bench) -> Result:
    """Criterion 2: two things in one picture, the pair trained or held out."""
    result: Result = {}
    for canvas in CANVAS_OF_PAIRS:
        for name, is_held_out in (("trained", False), ("held out", True)):
            pairs = _pairs(20, is_held_out)
            names = [(CONCEPTS[a].name, CONCEPTS[b].name) for a, b in pairs]
            pictures = bench.drawer.draw(
                [f"a {a} left of a {b}" for a, b in names], seed=SEED, canvas=canvas
            )
            places = pair_ranks(bench.judge, pictures, pairs, is_row=True)
            result[f"{canvas[0]}×{canvas[1]}, {name}"] = {
                "prompts": len(pairs),
                "both shown": round(float(both_shown(places, in_order=False).mean()), 3),
                "in the order asked": round(float(both_shown(places, in_order=True).mean()), 3),
            }
            kind = "held-out" if is_held_out else "trained"
            write_sheet(tile(pictures[:16], columns=8), bench.grids, f"pairs-{canvas[0]}-{kind}")
    return result


def measure_counts(bench: Bench) -> Result:
    """ "Three apples": the number by a counter of its own, the thing by the judge."""
    counter, accuracy = ensure_counter(bench.cache)
    result: Result = {"counter on real drawings of things kept from it": round(accuracy, 3)}
    for name, is_held_out in (("trained", False), ("held out", True)):
        asked = _counts(10, is_held_out)
        things, wanted = [concept for concept, _ in asked], [number for _, number in asked]
        prompts = [
            f"{NUMBERS[number]} {plural(CONCEPTS[concept].name)}" for concept, number in asked
        ]
        pictures = bench.drawer.draw(prompts, seed=SEED)
        found = numbers(counter, pictures)
        result[name] = {
            "prompts": len(asked),
            "number as asked": round(float((found == wanted).mean()), 3),
            "thing among first five": _first_five_anywhere(bench, pictures, things),
            "neighbour's name": _first_five_anywhere(bench, pictures, things[1:] + things[:1]),
        }
        for number in COUNTS:
            share = (found == number)[np.array(wanted) == number].mean()
            result[f"{NUMBERS[number]}, {name}"] = round(float(share), 3)
        write_sheet(tile(pictures, columns=10), bench.grids, f"counts-{name.replace(' ', '-')}")
    return result


def measure_negative(bench: Bench) -> Result:
    """Criterion 3: a negative prompt takes away the colour or the thing that it names."""
    chosen = _spread(16)
    prompts = [f"a {CONCEPTS[c].name}" for c in chosen]
    result: Result = {"prompts": len(prompts)}
    for words in ("", "white background"):
        pictures = bench.drawer.draw(prompts, seed=SEED, negative=[words] * len(prompts))
        found = ground_colours(pictures)
        name = f"with '{words}'" if words else "without"
        result[f"white ground {name}"] = round(found.count("white") / len(found), 3)
        result[f"concept among first five {name}"] = _first_five(bench, pictures, chosen)
    pairs = _pairs(16, False)
    words = [f"a {CONCEPTS[b].name}" for _, b in pairs]
    prompts = [f"a {CONCEPTS[a].name} and a {CONCEPTS[b].name}" for a, b in pairs]
    for name, negative in (("without", [""] * len(pairs)), ("with its name", words)):
        pictures = bench.drawer.draw(prompts, seed=SEED, negative=negative, canvas=(192, 128))
        for number, which in ((0, "first"), (1, "second")):
            places = best_ranks(bench.judge, pictures, [pair[number] for pair in pairs])
            result[f"{which} thing {name}"] = recognition(places).rounded()["first five"]
    return result


def measure_cfg(bench: Bench) -> Result:
    """Criterion 3: recognition and saturation by CFG scale."""
    chosen = _spread(16)
    prompts = [f"a {CONCEPTS[c].name}" for c in chosen]
    rows: Result = {}
    sheets = []
    for scale in CFG_SCALES:
        pictures = bench.drawer.draw(prompts, seed=SEED, cfg_scale=scale)
        sheets.append(pictures[:8])
        rows[f"{scale:g}"] = {
            "first five": _first_five(bench, pictures, chosen),
            "saturation": round(saturation(pictures), 3),
        }
    write_sheet(tile(np.concatenate(sheets), columns=8), bench.grids, "cfg")
    return rows


def measure_changes(bench: Bench) -> Result:
    """Criterion 3: img2img keeps at 0.3 and remakes at 0.8; inpainting fills a hole."""
    sources = _spread(12)
    targets = sources[5:] + sources[:5]
    originals = _real(bench, sources)
    prompts = [f"a {CONCEPTS[c].name}" for c in targets]
    result: Result = {}
    sheets = [originals[:8]]
    for strength in (0.3, 0.8):
        pictures = bench.drawer.change(originals, prompts, strength=strength, seed=SEED)
        sheets.append(pictures[:8])
        result[f"img2img {strength}"] = {
            "still the old concept": _first_five(bench, pictures, sources),
            "the new concept": _first_five(bench, pictures, targets),
        }
    masks = np.zeros(originals.shape[:3], np.uint8)
    masks[:, HOLE_FROM_PX:-HOLE_FROM_PX, HOLE_FROM_PX:-HOLE_FROM_PX] = 255
    filled = bench.drawer.fill(originals, masks, prompts, seed=SEED)
    result["inpainting, a hole in the middle"] = {
        "still the old concept": _first_five(bench, filled, sources),
        "the new concept": _first_five(bench, filled, targets),
    }
    wide = np.stack([_beside_a_gap(bench, concept) for concept in sources])
    masks = np.zeros(wide.shape[:3], np.uint8)
    masks[:, :, GAP_FROM_PX:] = 255
    beside = bench.drawer.fill(wide, masks, prompts, seed=SEED)
    places = pair_ranks(bench.judge, beside, list(zip(sources, targets, strict=True)), is_row=True)
    result["inpainting, beside another thing"] = {
        "the new concept": round(float((places[:, 1, 1] < 5).mean()), 3)
    }
    write_sheet(tile(np.concatenate(sheets), columns=8), bench.grids, "img2img")
    write_sheet(tile(filled[:8], columns=8), bench.grids, "inpainting")
    return result


def measure_interrogation(bench: Bench) -> Result:
    """Criterion 5: CLIP ranks all concepts' names by the picture."""
    folder = bench.models / "CLIP" / FOLDER_NAME
    clip, tokenizer = load_clip(folder), open_clip.get_tokenizer(f"local-dir:{folder}")
    words = [concept.name for concept in CONCEPTS]
    said = encode_words(clip, tokenizer(words))
    known, everything = known_concepts(), list(range(len(CONCEPTS)))
    generated = bench.drawer.draw([f"a {words[i]}" for i in known], seed=SEED + 900)
    real = _real(bench, everything)
    return {
        "words": len(words),
        "generated": recognition(word_ranks(clip, generated, said, known)).rounded(),
        "real": recognition(word_ranks(clip, real, said, everything)).rounded(),
    }


def measure_time(bench: Bench) -> Result:
    """Criterion 4: seconds of one picture, warm, and from the start of a process."""
    bench.drawer.draw(["a dog"], seed=SEED)
    started = time.monotonic()
    bench.drawer.draw(["a cat"], seed=SEED)
    warm = time.monotonic() - started
    cold = seconds_from_a_cold_start(bench.models)
    return {"seconds per picture": round(warm, 2), "seconds from a cold start": round(cold, 2)}


MEASUREMENTS: dict[str, Callable[[Bench], Result]] = {
    "concepts": measure_concepts,
    "pairs": measure_pairs,
    "counts": measure_counts,
    "sizes": measure_sizes,
    "colours": measure_colours,
    "negative": measure_negative,
    "cfg": measure_cfg,
    "changes": measure_changes,
    "interrogation": measure_interrogation,
    "time": measure_time,
}


def report(
    models: Path,
    cache: Path,
    grids: Path,
    only: Sequence[str] = (),
    *,
    is_resuming: bool = False,
) -> None:
    """Measure (`only` some, or everything), write evaluation.json in the cache and log it.

    `is_resuming`: leave out what evaluation.json already says of this very checkpoint.
    """
    judge, accuracy = ensure_classifier(cache)
    checkpoint = models / "Stable-diffusion" / f"{NAME}.safetensors"
    bench = Bench(
        Drawer(checkpoint, cache / "diffusers_config"),
        judge,
        concept_pictures(read_pack(ensure_pack(cache))),
        models,
        cache,
        grids,
    )
    results = Results(cache / "evaluation.json", checkpoint)
    results.add("judge on held-out looks of real drawings", round(accuracy, 4))
    for name in only or MEASUREMENTS:
        if not (is_resuming and results.is_known(name)):
            figure = MEASUREMENTS[name](bench)
            results.add(name, figure)
            log.info("%s: %s", name, json.dumps(figure))


def _combinations(
    colours: Sequence[str], is_held_out: Callable[[int, str], bool], wanted: bool
) -> list[tuple[int, str]]:
    """`COMBINATIONS` of (concept, colour), held out or not, colours equally often."""
    found: list[tuple[int, str]] = []
    allowed = _fair_concepts() if wanted else known_concepts()
    for index in range(COMBINATIONS):
        colour = colours[index % len(colours)]
        taken = {concept for concept, _ in found}
        turned = [allowed[(index * 17 + k) % len(allowed)] for k in range(len(allowed))]
        concept = next(c for c in turned if c not in taken and is_held_out(c, colour) == wanted)
        found.append((concept, colour))
    return found


def _pairs(count: int, is_held_out: bool) -> list[tuple[int, int]]:
    """`count` pairs of concepts, held out or not, spread over the list."""
    known = known_concepts()
    pairs: list[tuple[int, int]] = []
    for index in range(count):
        place = index * 53 % len(known)
        first = known[place]
        others = [known[(place + 29 + index + k) % len(known)] for k in range(len(known))]
        second = next(
            other
            for other in others
            if other != first and is_pair_held_out(first, other) == is_held_out
        )
        pairs.append((first, second))
    return pairs


def _counts(each: int, is_held_out: bool) -> list[tuple[int, int]]:
    """(concept, number), `each` of every number, spread over the list."""
    known, found = known_concepts(), []
    for number in COUNTS:
        allowed = [c for c in known if is_count_held_out(c, number) == is_held_out]
        found += [(allowed[k * len(allowed) // each], number) for k in range(each)]
    return found


def _fair_concepts() -> list[int]:
    """Known concepts whose held-out combinations were never trained."""
    return [concept for concept in known_concepts() if concept >= FIRST_FAIR_CONCEPT]


def _spread(count: int) -> list[int]:
    """`count` known concepts, evenly over the whole list."""
    known = known_concepts()
    return [known[int(index)] for index in np.linspace(0, len(known) - 1, count)]


def _first_five(bench: Bench, pictures: np.ndarray, wanted: Sequence[int]) -> float:
    return round(recognition(ranks(bench.judge, pictures, wanted)).first_five, 3)


def _first_five_anywhere(bench: Bench, pictures: np.ndarray, wanted: Sequence[int]) -> float:
    """As `_first_five`, of the best of nine windows of half the width and height."""
    places = np.min([ranks(bench.judge, part, wanted) for part in windows(pictures)], axis=0)
    return round(recognition(places).first_five, 3)


def _real(bench: Bench, concepts: Sequence[int]) -> np.ndarray:
    """A painted real drawing (128, 128, 3) of each concept, styles alternating."""
    random = np.random.default_rng(SEED)
    return np.stack(
        [
            paint(bench.drawings[concept, index % len(STYLES)].rgba, draw_look(random))
            for index, concept in enumerate(concepts)
        ]
    )


def _beside_a_gap(bench: Bench, concept: int) -> np.ndarray:
    """A real drawing in the left half of a white canvas (128, 192, 3)."""
    part = Part(concept, None, is_mirrored=False, size_px=88, left_px=4, top_px=20)
    scene = Scene((192, 128), None, (part,), is_small=False, place="left")
    style = next(index for index, style in enumerate(STYLES) if style.draws > 0)
    return paint_scene([bench.drawings[concept, style].rgba], scene)


def _check_tint_measure(bench: Bench) -> float:
    """The tint measure's own share on real drawings tinted by the training's recipe."""
    tinted = _combinations(TINTS, is_tint_held_out, False)
    looks = [Look(None, tint, False, 116, 6, 6) for _, tint in tinted]
    pictures = np.stack(
        [
            paint(bench.drawings[concept, 1].rgba, look)
            for (concept, _), look in zip(tinted, looks, strict=True)
        ]
    )
    return round(tint_share(pictures, [tint for _, tint in tinted]), 3)


def main() -> None:
    """Evaluate the checkpoint in models/ and log the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*", choices=[*MEASUREMENTS, []], help="all if none is named")
    parser.add_argument("--cache", type=Path, default=Path(".cache/embedded_model"))
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--grids", type=Path, default=Path("docs/images/embedded"))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    report(arguments.models, arguments.cache, arguments.grids, arguments.only)


if __name__ == "__main__":
    main()

"""The words for the classes of COCO and ADE20K: plurals, synonyms, wider terms, and what must not be told apart."""

from __future__ import annotations

from ..drawn.draws import Draws

SYNONYMS: dict[str, tuple[str, ...]] = {
    "person": ("human", "someone"),
    "bicycle": ("bike",),
    "motorcycle": ("motorbike",),
    "airplane": ("plane", "aeroplane", "aircraft"),
    "car": ("automobile",),
    "boat": ("vessel",),
    "couch": ("sofa",),
    "tv": ("television", "tv screen"),
    "cell phone": ("phone", "mobile phone"),
    "potted plant": ("plant",),
    "dining table": ("table",),
    "donut": ("doughnut",),
    "remote": ("remote control",),
    "refrigerator": ("fridge",),
    "sports ball": ("ball",),
    "wine glass": ("glass",),
    "cup": ("mug",),
    "stop sign": ("sign",),
    "fire hydrant": ("hydrant",),
    "traffic light": ("stoplight",),
    "handbag": ("purse", "bag"),
    "backpack": ("rucksack",),
    "suitcase": ("luggage",),
    "laptop": ("notebook computer",),
    "mouse": ("computer mouse",),
    "hair drier": ("hair dryer",),
    "teddy bear": ("stuffed bear", "teddy"),
    "baseball glove": ("mitt", "glove"),
    "baseball bat": ("bat",),
    "tennis racket": ("racket", "racquet"),
    "cow": ("cattle",),
    "sandwich": ("sub",),
    "clock": ("watch",),
    "skis": ("pair of skis",),
    "tie": ("necktie",),
    # ADE20K
    "sofa": ("couch",),
    "television": ("tv",),
    "painting": ("picture",),
    "rug": ("carpet",),
    "sidewalk": ("pavement",),
    "earth": ("ground",),
    "sea": ("ocean",),
    "rock": ("stone",),
    "railing": ("handrail",),
    "stairs": ("staircase",),
    "streetlight": ("street lamp",),
    "trash can": ("bin", "garbage can"),
    "swimming pool": ("pool",),
    "skyscraper": ("high-rise",),
    "building": ("edifice",),
    "path": ("trail",),
    "bookcase": ("bookshelf",),
    "minibike": ("motorbike",),
    "apparel": ("clothes",),
    "ball": (),
}
"""Other words for a class; each names nothing else of its domain."""

WIDER: dict[str, tuple[str, ...]] = {
    "animal": ("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"),
    "vehicle": ("bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"),
    "fruit": ("banana", "apple", "orange"),
    "vegetable": ("broccoli", "carrot"),
    "piece of cutlery": ("fork", "knife", "spoon"),
    "piece of furniture": ("chair", "couch", "bed", "dining table", "bench"),
    "bag": ("backpack", "handbag", "suitcase"),
}
"""Wider terms and the COCO classes that they cover; a picture with other unlabelled ones of the kind is rare."""

_IRREGULAR = {
    "person": "people",
    "someone": "people",
    "human": "humans",
    "man": "men",
    "woman": "women",
    "child": "children",
    "sheep": "sheep",
    "cattle": "cattle",
    "aircraft": "aircraft",
    "luggage": "pieces of luggage",
    "skis": "skis",
    "pair of skis": "pairs of skis",
    "scissors": "scissors",
    "stairs": "stairs",
    "apparel": "apparel",
    "clothes": "clothes",
    "grass": "grass",
    "water": "water",
    "sand": "sand",
    "earth": "earth",
    "food": "food",
    "wine glass": "wine glasses",
    "knife": "knives",
    "shelf": "shelves",
    "bookshelf": "bookshelves",
    "mouse": "mice",
    "computer mouse": "computer mice",
    "broccoli": "broccoli",
    "piece of cutlery": "pieces of cutlery",
    "piece of furniture": "pieces of furniture",
    "chest of drawers": "chests of drawers",
}

PAIRED = frozenset({"skis", "scissors", "stairs", "clothes", "apparel"})
"""Nouns that are plural in form: no "a" before them."""

CONFUSABLE: tuple[frozenset[str], ...] = tuple(
    frozenset(line.split(", "))
    for line in (
        "building, house, skyscraper, hovel, tower, booth, canopy, awning, grandstand",
        "chair, armchair, seat, swivel chair, stool, ottoman, sofa, couch, bench, cradle",
        "table, desk, coffee table, counter, countertop, dining table, kitchen island, buffet, pool table, bar",
        "earth, grass, field, path, sand, land, dirt track, rock, hill, mountain, road, sidewalk, floor, rug, "
        "runway, pier, stage, base, step",
        "water, sea, river, lake, swimming pool, waterfall, fountain",
        "tree, palm tree, plant, flower, potted plant, pot, vase",
        "stairs, stairway, step, escalator, bannister, railing, fence",
        "painting, poster, bulletin board, projection screen, crt screen, monitor, television, tv, computer, "
        "laptop, signboard, trade name, mirror",
        "lamp, light, streetlight, chandelier, sconce, traffic light, pole, column",
        "cabinet, wardrobe, chest of drawers, shelf, bookcase, case, buffet, box, counter",
        "cushion, pillow, blanket, bed, towel, apparel, curtain, blind",
        "window, door, screen door, glass, wall",
        "car, van, truck, bus",
        "boat, ship",
        "bag, basket, box, barrel, trash can, backpack, handbag, suitcase",
        "bicycle, minibike, motorcycle",
        "stove, oven, microwave, dishwasher, washing machine, refrigerator, hood",
        "sink, bathtub, toilet, shower",
        "toy, sculpture, animal, teddy bear, ball, person",
        "bottle, glass, vase, pot, cup, wine glass, plate, tray, bowl, food",
        "cake, sandwich, hot dog, pizza, donut",
        "orange, apple",
        "fork, knife, spoon",
        "book, remote, cell phone, keyboard, mouse, laptop",
        "frisbee, kite, sports ball",
        "surfboard, skateboard, snowboard, skis",
        "sheep, cow, horse, dog, bear",
    )
)
"""Classes of which one must not be called absent where another is present: annotators mix them up, or one lies in the
other unlabelled."""


def noun_for(draws: Draws, name: str) -> str:
    """The class's own word in two of three cases, else a synonym."""
    others = SYNONYMS.get(name, ())
    return draws.choice(others) if others and draws.chance(0.3) else name


def words_of(name: str) -> tuple[str, ...]:
    """The class's own word, then its synonyms."""
    return (name, *SYNONYMS.get(name, ()))


def plural(noun: str) -> str:
    """The plural of a noun of this file.

    ```python
    >>> plural("person"), plural("bus"), plural("cherry"), plural("fire hydrant"), plural("knife")
    ('people', 'buses', 'cherries', 'fire hydrants', 'knives')

    ```
    """
    if noun in _IRREGULAR:
        return _IRREGULAR[noun]
    if noun.endswith(("s", "sh", "ch", "x")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def confusable(first: str, second: str) -> bool:
    """Whether a picture that shows one may hold the other under another name."""
    if first == second or first in SYNONYMS.get(second, ()) or second in SYNONYMS.get(first, ()):
        return True
    return any(first in group and second in group for group in CONFUSABLE)

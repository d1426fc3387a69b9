"""What the embedded model can draw: tables of concepts, styles and colours.

Knows words and code points only; must not know pictures, tensors or files.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Concept:
    """One thing to draw: the emoji's code point (hex) and the words that mean it, best first.

    A postponed one is known to the classifier but not trained: two hours of one CPU core make
    fewer things recognisable, not more. On a GPU, postpone none.
    """

    code: str
    words: tuple[str, ...]
    is_postponed: bool

    @property
    def name(self) -> str:
        """The word of the prompt lists and of the model card."""
        return self.words[0]


@dataclass(frozen=True, slots=True)
class Style:
    """One source of pictures.

    `words` name it in captions; `draws` is its share of the training; in `unnamed` of its captions
    it goes without its name, so that it is what a prompt without a style looks like.
    """

    key: str
    words: str
    draws: float
    unnamed: float


def _concepts(rows: str) -> tuple[Concept, ...]:
    """Parse lines of `code word, synonym, synonym`; a tilde before the code postpones it."""
    parsed = []
    for line in rows.strip().splitlines():
        code, words = line.split(maxsplit=1)
        parts = tuple(word.strip() for word in words.split(","))
        parsed.append(Concept(code.lstrip("~"), parts, code.startswith("~")))
    return tuple(parsed)


CONCEPTS: tuple[Concept, ...] = _concepts(
    """
    1f431 cat, cat face, kitten
    1f436 dog, dog face, puppy
    1f43c panda, panda face
    1f98a fox, fox face
    ~1f981 lion, lion face
    1f437 pig, pig face
    1f438 frog, frog face
    1f430 rabbit, rabbit face, bunny
    ~1f984 unicorn, unicorn face
    1f427 penguin, penguin bird
    ~1f418 elephant, grey elephant
    1f433 whale, spouting whale
    ~1f419 octopus, squid
    ~1f98b butterfly, pretty butterfly
    ~1f422 turtle, tortoise
    1f989 owl, owl bird
    ~1f41d bee, honeybee
    1f420 fish, tropical fish
    1f34e apple, red apple
    1f34c banana, yellow banana
    1f353 strawberry, red strawberry
    1f349 watermelon, slice of watermelon
    1f34b lemon, yellow lemon
    1f352 cherries, cherry
    1f955 carrot, orange carrot
    1f355 pizza, slice of pizza
    1f354 hamburger, burger
    1f366 ice cream, soft ice cream
    1f382 cake, birthday cake
    1f369 doughnut, donut
    1f344 mushroom, red mushroom
    1f697 car, automobile, red car
    1f680 rocket, spaceship
    ~2708 airplane, plane
    ~26f5 sailboat, boat
    ~1f682 train, locomotive
    1f3e0 house, home
    1f4d5 book, closed book
    ~1f4a1 light bulb, lamp
    1f381 gift, present, wrapped gift
    1f388 balloon, red balloon
    2602 umbrella, open umbrella
    ~1f451 crown, golden crown
    26bd soccer ball, football
    1f3c0 basketball, orange basketball
    ~1f916 robot, robot face
    ~1f514 bell, golden bell
    1f333 tree, green tree
    1f335 cactus, green cactus
    1f33b sunflower, yellow sunflower
    ~1f339 rose, red rose
    2600 sun, bright sun
    1f319 moon, crescent moon
    2b50 star, yellow star
    2601 cloud, white cloud
    1f308 rainbow, colorful rainbow
    1f525 fire, flame
    26c4 snowman, snowman with hat
    2764 heart, red heart
    1f600 smiley, grinning face, happy face
    ~1f60e sunglasses, face with sunglasses
    1f47b ghost, white ghost
    1f47d alien, alien face
    1f383 pumpkin, jack o lantern
    """
)

TRAINED: tuple[Concept, ...] = tuple(c for c in CONCEPTS if not c.is_postponed)

# Flat and 3D are drawn after the same shapes, so together they train those twice as often.
STYLES: tuple[Style, ...] = (
    Style("noto", "noto style", draws=0.0, unnamed=0.0),
    Style("flat", "flat style", draws=0.5, unnamed=0.3),
    Style("3d", "3d style", draws=0.5, unnamed=0.6),
)

# A fourth set teaches the decoder and the classifier; the UNet of this size has no room for it.
EXTRA_STYLES: tuple[Style, ...] = (Style("twemoji", "twemoji style", draws=0.0, unnamed=0.0),)

Rgb = tuple[int, int, int]

COLOURS: dict[str, Rgb] = {
    "red": (214, 48, 49),
    "orange": (240, 140, 40),
    "yellow": (250, 215, 70),
    "green": (70, 160, 75),
    "teal": (30, 160, 160),
    "light blue": (140, 200, 245),
    "blue": (50, 95, 200),
    "purple": (125, 70, 170),
    "pink": (245, 150, 190),
    "brown": (125, 80, 50),
    "grey": (140, 140, 145),
    "black": (20, 20, 24),
}

TINTS: tuple[str, ...] = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "grey")

"""What the embedded model can draw: tables of concepts, styles and colours.

Knows words and code points only; must not know pictures, tensors or files.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Concept:
    """One thing to draw: the emoji's code point (hex) and the words that mean it, best first.

    A postponed one is known to the judge and to CLIP, but not trained unless asked for: two hours
    of one CPU core make fewer things recognisable, not more. On a GPU, postpone none.
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
    1f981 lion, lion face
    1f437 pig, pig face
    1f438 frog, frog face
    1f430 rabbit, rabbit face, bunny
    1f984 unicorn, unicorn face
    1f427 penguin, penguin bird
    1f418 elephant, grey elephant
    1f433 whale, spouting whale
    1f419 octopus, squid
    1f98b butterfly, pretty butterfly
    1f422 turtle, tortoise
    1f989 owl, owl bird
    1f41d bee, honeybee
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
    2708 airplane, plane
    26f5 sailboat, boat
    1f682 train, locomotive
    1f3e0 house, home
    1f4d5 book, closed book
    1f4a1 light bulb, lamp
    1f381 gift, present, wrapped gift
    1f388 balloon, red balloon
    2602 umbrella, open umbrella
    1f451 crown, golden crown
    26bd soccer ball, football
    1f3c0 basketball, orange basketball
    1f916 robot, robot face
    1f514 bell, golden bell
    1f333 tree, green tree
    1f335 cactus, green cactus
    1f33b sunflower, yellow sunflower
    1f339 rose, red rose
    2600 sun, bright sun
    1f319 moon, crescent moon
    2b50 star, yellow star
    2601 cloud, white cloud
    1f308 rainbow, colorful rainbow
    1f525 fire, flame
    26c4 snowman, snowman with hat
    2764 heart, red heart
    1f600 smiley, grinning face, happy face
    1f60e sunglasses, face with sunglasses
    1f47b ghost, white ghost
    1f47d alien, alien face
    1f383 pumpkin, jack o lantern
    1f428 koala, koala face
    1f42f tiger, tiger face
    1f43b bear, bear face
    1f435 monkey, monkey face
    1f42d mouse, mouse face
    1f42e cow, cow face
    1f434 horse, horse face
    1f411 sheep, ewe
    1f414 chicken, hen
    1f424 chick, baby chick
    1f986 duck, mallard
    1f99c parrot, parrot bird
    1f9a9 flamingo, pink flamingo
    1f42c dolphin, blue dolphin
    1f988 shark, grey shark
    1f980 crab, red crab
    1f40c snail, slow snail
    1f41e ladybug, lady beetle
    1f987 bat, flying bat
    1f40d snake, green snake
    1f995 dinosaur, sauropod
    1f993 zebra, striped zebra
    1f992 giraffe, tall giraffe
    1f994 hedgehog, spiny hedgehog
    1f9f8 teddy bear, teddy
    1f350 pear, green pear
    1f34a orange, tangerine
    1f351 peach, ripe peach
    1f347 grapes, bunch of grapes
    1f34d pineapple, ananas
    1f951 avocado, half avocado
    1f345 tomato, red tomato
    1f346 eggplant, aubergine
    1f33d corn, ear of corn, maize
    1f966 broccoli, green broccoli
    1f336 chili pepper, hot pepper, chili
    1f35e bread, loaf of bread
    1f9c0 cheese, cheese wedge
    1f35f french fries, fries, chips
    1f32d hot dog, hotdog, sausage
    ~1f32e taco, mexican taco
    1f36a cookie, biscuit
    1f36d lollipop, lolly
    ~1f37f popcorn, box of popcorn
    1f9c1 cupcake, muffin
    1f950 croissant, french croissant
    2615 coffee, cup of coffee, hot drink
    1f37a beer, beer mug
    1f95a egg, white egg
    ~1f95d kiwi, kiwi fruit
    1f622 crying face, sad face
    1f620 angry face, mad face
    1f60d heart eyes face, loving face
    1f921 clown, clown face
    1f608 devil, purple devil
    1f480 skull, human skull
    1f920 cowboy, cowboy hat face
    ~1f922 sick face, nauseated face
    1f68c bus, omnibus
    1f693 police car, patrol car
    1f692 fire truck, fire engine
    1f69a truck, lorry, delivery truck
    ~1f69c tractor, farm tractor
    1f6b2 bicycle, bike
    1f681 helicopter, chopper
    1f6a2 ship, ocean ship
    1f6f8 ufo, flying saucer
    1f3ce race car, racing car
    1f511 key, golden key
    1f512 lock, padlock
    1f528 hammer, claw hammer
    2702 scissors, pair of scissors
    270f pencil, yellow pencil
    1f453 glasses, eyeglasses, spectacles
    ~1f3a9 top hat, hat
    1f455 shirt, t shirt
    ~1f457 dress, gown
    1f45f shoe, running shoe, sneaker
    1f4f7 camera, photo camera
    1f4f1 phone, mobile phone, smartphone
    1f4bb laptop, computer, notebook computer
    23f0 alarm clock, clock
    1f56f candle, burning candle
    1f3b8 guitar, electric guitar
    ~1f941 drum, drum with sticks
    1f3c6 trophy, golden trophy, cup
    1f48e diamond, gem stone, jewel
    ~1f48d ring, diamond ring
    1f4b0 money bag, bag of money
    1fa91 chair, wooden chair
    ~1f6aa door, wooden door
    2709 envelope, letter, mail
    ~2693 anchor, ship anchor
    1f4a3 bomb, black bomb
    ~1f3b2 dice, game die
    ~1f3c8 american football, rugby ball
    1f3be tennis ball, tennis
    ~1f3a8 palette, artist palette
    1f337 tulip, pink tulip
    ~1f338 cherry blossom, pink blossom
    1f340 clover, four leaf clover
    1f341 maple leaf, autumn leaf
    1f334 palm tree, palm
    1f384 christmas tree, decorated tree
    1f30b volcano, erupting volcano
    26a1 lightning, lightning bolt
    2744 snowflake, snow crystal
    1f4a7 water drop, droplet
    1f30e earth, globe, planet earth
    1fa90 planet, ringed planet, saturn
    1f3f0 castle, stone castle
    ~26fa tent, camping tent
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

COUNTS: tuple[int, ...] = (2, 3, 4)

# Combinations that are never trained, to measure whether the model composes. The first concepts
# were trained in every colour before this rule: only those from here on are a fair test.
FIRST_FAIR_CONCEPT = 64
_HELD_OUT_EVERY = 8


def is_tint_held_out(concept: int, tint: str) -> bool:
    """Whether the concept of this index is never trained in this tint."""
    return (3 * concept + list(COLOURS).index(tint)) % _HELD_OUT_EVERY == 0


def is_ground_held_out(concept: int, ground: str) -> bool:
    """Whether the concept of this index is never trained on a background of this colour."""
    return (5 * concept + list(COLOURS).index(ground)) % _HELD_OUT_EVERY == 1


def is_pair_held_out(first: int, second: int) -> bool:
    """Whether these two concepts are never trained in one picture."""
    return (first + second) % _HELD_OUT_EVERY == 2


def is_count_held_out(concept: int, count: int) -> bool:
    """Whether the concept of this index is never trained so many times in one picture."""
    return (concept + count) % _HELD_OUT_EVERY == 3

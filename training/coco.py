"""The object classes of COCO that GenEval's prompts name, and the objects that depict each."""

from __future__ import annotations

from functools import lru_cache

from daguerre.models.embedded.drawing import things

PERSON = "person"
# Class -> objects that depict it, besides those with its name or synonym.
DEPICTING: dict[str, str] = {
    "airplane": "small airplane,airplane taking off,airplane landing",
    "apple": "green apple",
    "backpack": "",
    "banana": "",
    "baseball bat": "",
    "baseball glove": "",
    "bear": "polar bear,panda",
    "bed": "person in bed",
    "bench": "",
    "bicycle": "cyclist,mountain biker",
    "bird": "dove,eagle,owl,swan,duck,goose,hen,rooster,chick,parrot,penguin,flamingo,peacock,"
    "raven,turkey,dodo",
    "boat": "canoe,speedboat,motorboat,ferry,cruise ship,ship,pirate ship,rower",
    "book": "open book,books,diary,notebook,ledger",
    "bottle": "champagne,sake,lotion bottle,baby bottle",
    "bowl": "salad,rice,noodles,stew",
    "broccoli": "",
    "bus": "trolleybus,school bus,minibus",
    "cake": "birthday cake,cupcake",
    "car": "oncoming car,suv,taxi,police car,race car",
    "carrot": "",
    "cat": "black cat,cat face,smiling cat,laughing cat,cat with heart eyes,smirking cat,"
    "kissing cat,scared cat,crying cat,grumpy cat",
    "cell phone": "phone",
    "chair": "",
    "clock": "alarm clock,mantel clock",
    "computer keyboard": "keyboard",
    "computer mouse": "",
    "couch": "sofa",
    "cow": "ox,cow face",
    "cup": "mug,coffee,tea,soda",
    "dining table": "table,desk",
    "dog": "poodle,service dog,dog face",
    "donut": "",
    "elephant": "mammoth",
    "fire hydrant": "",
    "fork": "cutlery,dinner plate",
    "frisbee": "",
    "giraffe": "",
    "hair drier": "",
    "handbag": "clutch bag,coin purse",
    "horse": "horse face,jockey",
    "hot dog": "",
    "kite": "",
    "knife": "kitchen knife,cutlery,dinner plate",
    "laptop": "",
    "microwave": "",
    "motorcycle": "scooter",
    "orange": "",
    "oven": "stove",
    "parking meter": "",
    PERSON: "",
    "pizza": "",
    "potted plant": "",
    "refrigerator": "",
    "sandwich": "hamburger",
    "scissors": "",
    "sheep": "ram",
    "sink": "",
    "skateboard": "",
    "skis": "skier",
    "snowboard": "snowboarder",
    "spoon": "bowl",
    "sports ball": "soccer ball,basketball,baseball,softball,volleyball,american football,"
    "rugby ball,tennis ball,ball",
    "stop sign": "",
    "suitcase": "",
    "surfboard": "surfer",
    "teddy bear": "",
    "tennis racket": "",
    "tie": "necktie",
    "toaster": "",
    "toilet": "",
    "toothbrush": "",
    "traffic light": "",
    "train": "steam train,bullet train,subway train,light rail,railway car,tram,mountain railway",
    "truck": "delivery truck,semi truck,pickup truck,fire truck",
    "tv": "television",
    "tv remote": "",
    "umbrella": "umbrella in the rain,closed umbrella,beach umbrella",
    "vase": "",
    "wine glass": "champagne glasses",
    "zebra": "",
}
# Object and class -> how many of the class one drawing of the object has, where it is not one.
SEVERAL = {
    ("books", "book"): 3,
    ("champagne glasses", "wine glass"): 2,
    ("couple holding hands", PERSON): 2,
    ("family", PERSON): 3,
}
# Classes that the painters of rooms draw themselves: setting -> class.
FURNITURE = {"table": "dining table"}
_NOT_PEOPLE = {"ghost", "robot", "alien", "alien monster", "unicorn", "silhouette of a person"}


@lru_cache(maxsize=len(DEPICTING))
def depicting(name: str) -> frozenset[str]:
    """The objects with art that depict a class."""
    rows = [row for row in things.THINGS if things.looks(row)]
    if name == PERSON:
        return frozenset({row.name for row in rows if row.kind == "p"} - _NOT_PEOPLE)
    named = {row.name for row in rows if name in (row.name, *row.synonyms)}
    return frozenset(named | {*DEPICTING[name].split(",")} & {row.name for row in rows})


def counted(thing: str, name: str) -> int:
    """How many of the class `name` one drawing of an object shows."""
    return SEVERAL.get((thing, name), 1) if thing in depicting(name) else 0

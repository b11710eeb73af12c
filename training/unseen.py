"""Words that no caption of the training has, and the things that are meant by them.

They show how far the text encoder's knowledge of words carries; a test holds that they stay unseen.
"""

from __future__ import annotations

_TABLE = """
feline: cat
pussycat: cat
tomcat: cat
doggy: dog
hound: dog
mutt: dog
stallion: horse
pony: horse
mare: horse
hare: rabbit
cobra: snake
gator: crocodile
grizzly: bear
primate: monkey
chimp: monkey
chimpanzee: monkey
swine: pig
hog: pig
rodent: mouse, rat, hamster
hornet: bee
sparrow: bird
robin: bird
canary: bird
salmon: fish
trout: fish
fungus: mushroom
motorcar: car
sedan: car
hatchback: car
jumbo jet: airplane
spacecraft: rocket, ufo
dinghy: boat
ferry boat: ferry, ship, boat
violinist: violin
palace: castle
fortress: castle
mansion: house
bungalow: house
orchid: flower, hibiscus
conifer: fir tree
spruce: fir tree
oak: tree
espresso: coffee
latte: coffee
cappuccino: coffee
pastry: croissant, pie, cupcake
lager: beer
telly: television
timepiece: watch, alarm clock, mantel clock
spectre: ghost
phantom: ghost
spook: ghost
extraterrestrial: alien
android: robot
ruby: gem
emerald: gem
blade: sword, kitchen knife
guitarist: guitar
monarch butterfly: butterfly
songbird: bird
infant: baby
physician: doctor
kingfisher: bird
wildfire: fire
lightbulb: light bulb
brolly: umbrella
"""
WORDS: dict[str, tuple[str, ...]] = {
    word: tuple(names.split(", "))
    for word, _, names in (line.partition(": ") for line in _TABLE.strip().splitlines())
}

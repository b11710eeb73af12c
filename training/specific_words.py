"""Words for kinds of an object, which captions use in place of its name: a corgi is a dog.

People type them, and the network learns the object from them and from similar words. They are not
in the table of things, because they are not synonyms of the object.
"""

from __future__ import annotations

SHARE = 0.15  # of the mentions of objects that have such words
_TABLE = """
dog: corgi, husky, labrador, golden retriever, beagle, chihuahua, german shepherd, bulldog, pug,
 dalmatian, terrier, dachshund, border collie, shiba inu, retriever, greyhound, pitbull, pooch,
 pup, puppy dog, spaniel, great dane, samoyed, rottweiler, sheepdog
cat: tabby cat, siamese cat, persian cat, maine coon, house cat, kitty cat, ginger cat, alley cat,
 bengal cat, stray cat, pet cat, sphynx cat
horse: mustang, foal, racehorse, arabian horse, wild horse, colt, thoroughbred
rabbit: bunny rabbit, baby bunny, cottontail, baby rabbit
bird: finch, woodpecker, magpie, nightingale, starling, warbler, heron, stork, bluebird, little
 bird, wren, swallow
parrot: macaw, cockatoo, parakeet, budgie, cockatiel
eagle: bald eagle, falcon, golden eagle, bird of prey, condor, vulture
owl: barn owl, snowy owl, horned owl, night owl
duck: mallard, duckling, drake
fish: carp, cod, sardine, piranha, mackerel, perch, tuna, bass, herring, catfish
tropical fish: clownfish, betta fish, reef fish
shark: hammerhead shark, tiger shark
whale: humpback whale, sperm whale, baby whale
bear: bear cub, kodiak bear
wolf: timber wolf, wolf pup, coyote, jackal
fox: arctic fox, desert fox, fox cub, vixen
deer: fawn, doe, roe deer, buck
lion: lioness, male lion, lion cub, mountain lion
tiger: bengal tiger, tiger cub, siberian tiger
leopard: jaguar, panther, snow leopard, lynx
monkey: baboon, macaque, capuchin, lemur, marmoset
snake: python, viper, rattlesnake, boa, anaconda
lizard: iguana, chameleon, salamander, komodo dragon
frog: tree frog, bullfrog, poison dart frog
turtle: sea turtle, baby turtle
butterfly: swallowtail, moth, painted lady butterfly
beetle: scarab, stag beetle, june bug
bee: honey bee, wasp
spider: tarantula, jumping spider
dragon: wyvern, drake dragon, baby dragon, fire dragon, sea serpent
dinosaur: diplodocus, brachiosaurus, apatosaurus
car: sports car, convertible, coupe, porsche, ferrari, limousine, muscle car, electric car,
 station wagon, vintage car, cabriolet, tesla, old car, family car
race car: f1 car, rally car
pickup truck: ute, farm truck, old pickup
delivery truck: box truck, cargo van
bus: double-decker bus, city bus, coach, tour bus
train: passenger train, freight train
steam train: locomotive engine, old train
airplane: passenger plane, jet plane, airliner, boeing
small airplane: biplane, cessna, seaplane, fighter plane
helicopter: rescue helicopter
rocket: space rocket, space shuttle, missile
ufo: alien spaceship, alien ship, mothership
boat: rowboat, fishing boat, sail boat, skiff, catamaran
ship: tall ship, battleship, cargo ship, tanker
motorcycle: harley, chopper bike, dirt bike
bicycle: mountain bike, racing bike, road bike, tricycle, bmx
house: villa, farm house, little house, town house, wooden house, family home, suburban
 house
hut: shack, beach hut, wooden hut
castle: medieval castle, fairy tale castle, citadel, chateau, stronghold
church: cathedral, abbey, basilica, parish church
office building: tower block, apartment building, apartment block, high-rise building
tree: maple tree, birch, willow, elm, apple tree, beech, chestnut tree, ash tree, big tree
fir tree: pine, cedar, redwood, larch
palm tree: coconut palm, date palm, coconut tree
flower: peony, iris, marigold, magnolia, poppy, pansy, primrose, carnation, chrysanthemum, dahlia,
 wildflower, lily flower, dandelion, daffodil, violet flower, anemone
rose: rosebud, garden rose, long-stemmed rose
cactus: saguaro, prickly pear, succulent
mushroom: toadstool mushroom, fly agaric, button mushroom, porcini
apple: granny smith, gala apple, crab apple
bread: sourdough, rye bread
cake: layer cake, chocolate cake, sponge cake, cheesecake
birthday cake: wedding cake, party cake
cookie: oatmeal cookie
ice cream: gelato, sundae, vanilla ice cream
pie: cherry pie, pumpkin pie, tart
pizza: pepperoni pizza, margherita, slice of pepperoni pizza
hamburger: beef burger
sandwich: club sandwich, ham sandwich, panini
coffee: mocha, hot chocolate, americano, hot coffee, macchiato
tea: chai, herbal tea
beer: pint of beer, ale, stout, craft beer, pilsner
cocktail: margarita, mojito, gin and tonic
cheese: cheddar, swiss cheese, gouda, brie
sofa: loveseat, settee, leather sofa, divan
chair: dining chair, kitchen chair, rocking chair, wooden chair, office chair
table: coffee table, kitchen table, picnic table
bed: double bed, bunk bed, single bed, king size bed
alarm clock: bedside clock, ringing clock
watch: smartwatch, rolex, pocket watch, wrist watch
phone: iphone, mobile, cellphone
laptop: macbook, notebook pc, portable computer
television: flat screen, tv set, flatscreen tv, old television
camera: polaroid camera, slr camera, digital camera, old camera
guitar: acoustic guitar, electric guitar, ukulele, bass guitar
drum: drum kit, bongo
violin: cello, viola, stradivarius
sword: katana, rapier, saber, broadsword, excalibur, longsword
crown: tiara, royal crown
ring: wedding ring
gem: sapphire, crystal
book: novel, textbook, paperback, hardcover book, old book
shirt: polo shirt, football shirt, jersey, tank shirt
dress: gown, evening dress, summer dress, ball gown, wedding dress
shoe: loafer, oxford shoe
hat: fedora, bowler hat
backpack: hiking backpack, school backpack, knapsack
handbag: tote bag, leather bag, leather handbag
ball: rubber ball, bouncy ball, toy ball
soccer ball: leather football
ghost: spirit, poltergeist, friendly ghost, ghoul
robot: humanoid robot, droid, toy robot, mech, cyborg
alien: martian, space alien
lantern: chinese lantern
candle: wax candle, tea light, burning candle
umbrella: open umbrella, rain umbrella
hot air balloon: balloon ride, montgolfier
lighthouse: light tower, beacon tower
windmill: dutch windmill, old mill
fence: garden fence
rock: big stone, large rock
planet: jupiter, mars, gas giant, exoplanet
moon: lunar disc
star: little star
potted plant: plant in a pot, monstera, ficus
tent: dome tent
toilet: loo, lavatory, toilet bowl
refrigerator: fridge freezer, icebox, freezer
teddy bear: stuffed bear, plush bear, toy bear
pumpkin: big pumpkin
snowman: snow man, frosty the snowman
"""


def _read() -> dict[str, tuple[str, ...]]:
    lines = _TABLE.replace("\n ", " ").strip().splitlines()
    rows = (line.partition(": ") for line in lines)
    return {name: tuple(words.split(", ")) for name, _, words in rows}


WORDS = _read()

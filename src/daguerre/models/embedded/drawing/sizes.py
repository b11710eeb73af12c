"""Coarse real sizes of things: metres along the longer side of what a picture shows.

Each row of the table has metres, then tags (with @) or names of things.txt. A name counts before a
tag, and the last row with a tag before the others. What is in no row, such as a star or a heart,
has no size.
"""

from __future__ import annotations

from functools import lru_cache

from daguerre.models.embedded.drawing import things

TABLE = """
0.5|@animal,@nature,@plant,@celebration,@sport,@toy,@music,@clothing,@electronics
0.25|@food,@kitchen,@household,@paper,@award,@money,@tool,@medicine
2|@wild animal,@farm animal,@reptile,@street
1.2|@sea animal
0.1|@insect
0.3|@bird,@flower
1.75|@person,@fantasy
8|@tree
15|@building,@train,@boat,@aircraft
5|@road vehicle
0.05|ring,gem,coin,pill,dice,battery,pushpin,paperclip,nut and bolt,safety pin,acorn,chestnut
0.05|blueberries,cherries,raspberry,olive,strawberry,peanuts,candy,ladybug,bee,fly,mosquito,ant
0.05|sewing needle,thread,soap,drop of blood,microbe,petri dish,tooth,ear,eye,nose,kiss mark
0.08|key,egg,plum,lime,worm,snail,chick,hatching chick,mouse,hummingbird,yo-yo,seedling,shrimp
0.08|cookie,sushi,dumpling,falafel,garlic,shamrock,four-leaf clover,eight ball,baseball,tennis ball
0.08|watch,glasses,sunglasses,lipstick,old key,lock,open lock,puzzle piece,stopwatch,computer mouse
0.12|apple,green apple,orange,lemon,pear,peach,kiwi,tomato,potato,onion,donut,cupcake,hamster
0.12|goldfish,tropical fish,frog,crab,starfish,seahorse,oyster,seashell,easter egg,spinning top
0.12|light bulb,spoon,fork,glowing mushroom
0.12|leaf,maple leaf,mushroom,brown mushroom,mug,coffee,tea,rubber duck,bell
0.12|mousetrap,paper plane,magic wand,phone,diving mask,alarm clock,coin purse,wallet,paper boat
0.3|parrot,squirrel,rat,hedgehog,bat,lizard,fish,pufferfish,lobster,squid,coral,jellyfish,candle
0.3|basket,bucket,fish bowl,toaster,microwave,toilet paper,lantern,basketball,soccer ball,volleyball
0.3|ball,table lamp,pillow,mirror,life ring,brick,siren,roller skate,sandcastle
0.5|hen,rooster,duck,eagle,owl,raven,seagull,toucan,beaver,skunk,raccoon,otter,badger,koala,monkey
0.5|baby,pinata,violin,sloth,goose,turkey,swan,peacock,dodo,octopus,drone
0.8|trash can,safe,treasure chest,shield,electric fan,fire extinguisher,sink,chandelier,anvil
0.8|stool,penguin,fox,dog face,chair,armchair,campfire,fire hydrant,traffic cone
0.8|skateboard,parking meter
0.8|sunflower,tree stump,potted plant,wheel,barrel,suitcase,bush,rock,road barrier,oil drum
1.1|wolf,sheep,ram,goat,pig,boar,kangaroo,panda,leopard,flamingo,phoenix,fairy,child,boy,girl
1.1|guitar,harp,drum,conga,easel,broom,ladder,rake,shovel,scooter,wheelchair,snowman,scarecrow
1.1|umbrella,closed umbrella,stove,washing machine,toilet,mailbox,open mailbox
1.1|postbox,filing cabinet
1.1|wheelbarrow,shopping cart,airplane seat,television,sword,crossed swords
1.1|bow and arrow,vacuum cleaner
1.1|log,hay bale,dog house,bicycle,electric wheelchair,barber pole,kick scooter,canoe,coffin
1.75|bed,sofa,table,desk,door,window,floor lamp,bookshelf,wardrobe,dresser,bench,refrigerator,shower
1.75|bathtub,rug,curtain,fireplace,cabinet,suit of armor,trident,throne,cowboy
1.75|fishing rod,skis,surfboard,snowboard,sled,gate,ostrich,statue,tent,anchor,swing,seesaw
1.75|well,moai,cactus,bamboo,wheat,beach umbrella,bus stop,motorcycle,wooden cart,carousel horse
3|elephant,giraffe,hippopotamus,rhinoceros,bison,water buffalo,shark,dolphin,orca
3|playground slide,fountain,christmas tree,street lamp,speedboat,motorboat,hut,igloo
5|boat,parachute,ufo,dragon,t-rex,mammoth,tree house
8|small airplane,helicopter,dinosaur,whale,bus,school bus,trolleybus,fire truck,semi truck
8|rocket,hot air balloon,delivery truck,house,cabin,cable car
30|mountain,mount fuji,volcano,iceberg,desert island,castle,office building,cruise ship,pyramid
30|eiffel tower,stadium
"""


@lru_cache(maxsize=1)
def _by_word() -> dict[str, float]:
    rows = (row.split("|") for row in TABLE.strip().splitlines())
    return {word: float(metres) for metres, words in rows for word in words.split(",")}


@lru_cache(maxsize=2048)
def metres(name: str) -> float | None:
    """The size of a thing; None if it has none."""
    found = _by_word()
    if name in found or name not in things.BY_NAME:
        return found.get(name)
    tags = {f"@{tag}" for tag in things.BY_NAME[name].tags}
    return next((size for word, size in reversed(found.items()) if word in tags), None)

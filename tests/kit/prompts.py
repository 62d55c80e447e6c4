"""Prompts as people write them, in the languages that lint is tried on: the errors it states are counted on these."""

ENGLISH = [
    "a pistol", "a firearm", "a rifle on a table", "a hand holding a knife", "a person smoking a cigarette",
    "a bottle of wine", "a glass of beer", "dice and playing cards", "a skull and crossbones", "the middle finger",
    "a nude woman", "blood on the floor", "a marijuana joint", "a hookah", "brass knuckles", "a slot machine",
    "a swastika", "a hand grenade", "a coffin", "a kitchen knife cutting vegetables", "nunchaku", "a machete",
]  # fmt: skip

PROMPTS = {
    "German": [
        "eine Pistole", "ein Gewehr auf einem Tisch", "eine Hand mit einem Messer",
        "eine Person, die eine Zigarette raucht", "eine Flasche Wein", "ein Glas Bier", "Würfel und Spielkarten",
        "ein Totenkopf", "der Mittelfinger", "eine nackte Frau", "Blut auf dem Boden", "ein Joint", "Schusswaffe",
        "Zigarette", "Bierkrug", "ein Spielautomat", "Hakenkreuz", "eine Bombe", "ein Sarg",
        "ein Küchenmesser beim Schneiden von Gemüse",
    ],
    "French": [
        "un pistolet", "une arme à feu", "un fusil sur une table", "une main tenant un couteau",
        "une personne qui fume une cigarette", "une bouteille de vin", "un verre de bière",
        "des dés et des cartes à jouer", "une tête de mort", "un doigt d'honneur", "une femme nue",
        "du sang sur le sol", "un joint de cannabis", "arme à feu", "cigarette", "chope de bière",
        "une machine à sous", "croix gammée", "une bombe", "un cercueil",
    ],
    "Spanish": [
        "una pistola", "un arma de fuego", "un rifle sobre una mesa", "una mano con un cuchillo",
        "una persona fumando un cigarrillo", "una botella de vino", "un vaso de cerveza", "dados y naipes",
        "una calavera", "el dedo medio", "una mujer desnuda", "sangre en el suelo", "un porro", "arma de fuego",
        "cigarrillo", "jarra de cerveza", "una máquina tragaperras", "esvástica", "una bomba", "un ataúd",
    ],
    "Russian": ["пистолет", "человек курит сигарету", "бутылка вина", "череп и кости", "игральные карты"],
    "Greek": ["όπλο", "ένα μπουκάλι κρασί", "τσιγάρο"],
    "Arabic": ["مسدس", "شخص يدخن سيجارة", "زجاجة نبيذ", "جمجمة"],
    "Chinese": ["手枪", "一个人在抽烟", "一瓶酒", "骷髅", "扑克牌"],
}  # fmt: skip

"""Texts as people send them to a model, with personal data in known places and with what only looks like it."""

import random
import uuid
from collections.abc import Callable
from typing import NamedTuple

from stdnum import luhn
from stdnum.cn import ric

from inference.masking import Kind

_FULL_WIDTH = str.maketrans("0123456789Xx@.-+ ", "０１２３４５６７８９Ｘｘ＠．－＋　")
_COUNTIES = ("110105", "310115", "440305", "330106", "320102", "510107", "420106", "610113", "350203", "500112")
_PREFIXES = [
    "130",
    "131",
    "132",
    "133",
    "135",
    "136",
    "137",
    "138",
    "139",
    "147",
    "150",
    "151",
    "152",
    "157",
    "158",
    "159",
    "166",
    "173",
    "175",
    "176",
    "177",
    "178",
    "180",
    "181",
    "186",
    "188",
    "189",
    "191",
    "198",
    "199",
]
_ISSUERS = (
    ("622202", 19),
    ("621226", 19),
    ("622848", 19),
    ("621700", 19),
    ("622588", 16),
    ("625806", 16),
    ("436742", 16),
    ("4026", 16),
    ("5187", 16),
    ("5240", 16),
    ("3568", 16),
    ("3713", 15),
    ("955880", 19),
)
_PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_PLATE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_NAMES = ("张伟", "王芳", "李娜", "刘洋", "陈静", "欧阳雪", "Li Lei", "Han Meimei", "John Smith", "Zhang San")
_DOMAINS = ("example.com", "qq.com", "163.com", "mail.example.co.uk", "corp-name.com.cn", "sub.dept.example.org")


class Planted(NamedTuple):
    kind: Kind
    start: int
    end: int


class Text(NamedTuple):
    text: str
    planted: tuple[Planted, ...]


def _number(dice: random.Random, length: int) -> str:
    return "".join(dice.choices("0123456789", k=length))


def resident_id(dice: random.Random) -> str:
    born = f"{dice.randint(1940, 2023)}{dice.randint(1, 12):02}{dice.randint(1, 28):02}"
    number = dice.choice(_COUNTIES) + born + _number(dice, 3)
    number += ric.calc_check_digit(number)
    if number.endswith("X") and dice.random() < 0.3:
        number = number.lower()
    mark = dice.choice(("", "", "", " ", "-"))
    return mark.join((number[:6], number[6:14], number[14:]))


def mobile(dice: random.Random) -> str:
    number = dice.choice(_PREFIXES) + _number(dice, 8)
    mark = dice.choice(("", "", "", " ", "-"))
    return dice.choice(("", "", "", "+86 ", "+86-", "+86", "86", "0086 ", "(+86)")) + mark.join(
        (number[:3], number[3:7], number[7:])
    )


def bank_card(dice: random.Random) -> str:
    issuer, length = dice.choice(_ISSUERS)
    while True:
        number = issuer + _number(dice, length - len(issuer) - 1)
        number += luhn.calc_check_digit(number)
        if not ric.is_valid(number):
            break
    if length == 15 or dice.random() < 0.5:
        return number
    mark = dice.choice((" ", "-"))
    return mark.join(number[i : i + 4] for i in range(0, length, 4))


def passport(dice: random.Random) -> str:
    if dice.random() < 0.6:
        return dice.choice("EG") + _number(dice, 8)
    return "E" + dice.choice(_PLATE_LETTERS) + _number(dice, 7)


def foreign_passport(dice: random.Random) -> str:
    return dice.choice((_number(dice, 9), dice.choice("ACHKMP") + _number(dice, 8), "XK" + _number(dice, 7)))


def licence_plate(dice: random.Random) -> str:
    place = dice.choice(_PROVINCES) + dice.choice(_PLATE_LETTERS) + dice.choice(("", "", "·", " "))
    form = dice.random()
    if form < 0.3:
        return place + dice.choice("DF") + dice.choice("0123456789" + _PLATE_LETTERS) + _number(dice, 4)
    if form < 0.4:
        return place + _number(dice, 5) + dice.choice("DF")
    signs = list(_number(dice, 5))
    for index in dice.sample(range(5), dice.randint(0, 2)):
        signs[index] = dice.choice(_PLATE_LETTERS)
    return place + "".join(signs)


def email(dice: random.Random) -> str:
    local = dice.choice(("zhang.san", "li_lei", "a", "john-smith", "wang+news", "u" + _number(dice, 6), "10086"))
    return f"{local}{_number(dice, dice.randint(0, 3))}@{dice.choice(_DOMAINS)}"


_PERSONAL: tuple[tuple[Kind, Callable[[random.Random], str], tuple[str, ...]], ...] = (
    (
        Kind.RESIDENT_ID,
        resident_id,
        (
            "身份证号：{}",
            "我的身份证是{}，请核对",
            "ID number {}.",
            "证件号码{}",
            '"id_card": "{}"',
            "客户{}已实名",
            "居民身份证（{}）",
        ),
    ),
    (
        Kind.MOBILE,
        mobile,
        (
            "手机号{}",
            "请拨打{}联系我",
            "call me at {} please",
            "Tel: {}",
            "电话：{}（微信同号）",
            '"phone": "{}"',
            "联系人 {}",
            "tel{}",
            "收货人{}，放门口",
        ),
    ),
    (
        Kind.BANK_CARD,
        bank_card,
        ("银行卡号{}", "转账到 {} 工商银行", "my card number is {}", "卡号：{}，户名", "Card {}, exp 09/29", "账户{}"),
    ),
    (Kind.PASSPORT, passport, ("护照号码{}", "passport {}", "证件：{}", "持{}入境", "travelling on {} in May")),
    (Kind.PASSPORT, foreign_passport, ("护照号：{}", "passport no. {}", "Passport number: {}", "港澳通行证{}")),
    (Kind.LICENCE_PLATE, licence_plate, ("车牌{}", "车牌号：{}违停", "plate {}", "一辆{}的白色轿车", "停车场登记{}。")),
    (Kind.EMAIL, email, ("邮箱{}", "发到{}，谢谢", "mail {} today", "contact: <{}>", "Email：{}。", '"email":"{}"')),
)


def _hexadecimal(dice: random.Random, digits: int) -> str:
    return f"{dice.getrandbits(digits * 4):0{digits}x}"


_NEAR: tuple[Callable[[random.Random], str], ...] = (
    lambda d: f"订单号：{d.randint(2020, 2026)}{d.randint(1, 12):02}{d.randint(1, 28):02}{_number(d, 10)}",
    lambda d: f"订单号{_number(d, 11)}",
    lambda d: f"流水号 1{_number(d, 18)}",
    lambda d: f"order #{_number(d, 12)} shipped",
    lambda d: f"timestamp={d.randint(1_600_000_000_000, 1_800_000_000_000)}",
    lambda d: f"耗时 {d.randint(1_600_000_000, 1_800_000_000)}",
    lambda d: f"at {d.randint(16 * 10**17, 18 * 10**17)} ns",
    lambda d: f"sha256:{_hexadecimal(d, 64)}",
    lambda d: f"commit {_hexadecimal(d, 40)}",
    lambda d: f"etag {_hexadecimal(d, 16)}",
    lambda d: f"id={uuid.UUID(int=d.getrandbits(128))}",
    lambda d: f"π≈3.{_number(d, 16)}",
    lambda d: f"余额¥{_number(d, 6)}.{_number(d, 2)}",
    lambda d: f"共{d.randint(13_000_000_000, 18_000_000_000)}字节",
    lambda d: f"快递单号SF{_number(d, 13)}",
    lambda d: f"isbn 978-7-{_number(d, 3)}-{_number(d, 5)}-{_number(d, 1)}",
    lambda d: f"座机0{d.randint(10, 29)}-{_number(d, 8)}",
    lambda d: f"客服热线400-{_number(d, 3)}-{_number(d, 4)}",
    lambda d: f"10.{d.randint(0, 255)}.{d.randint(0, 255)}.{d.randint(0, 255)}:8080",
    lambda d: f"{d.randint(2000, 2030)}-{d.randint(1, 12):02}-{d.randint(1, 28):02} {d.randint(0, 23):02}:05:09.123456",
    lambda d: f"型号E{_number(d, 8)}",
    lambda d: f"SKU: AB{_number(d, 7)}",
    lambda d: f"pip install pkg@{d.randint(1, 9)}.{d.randint(0, 20)}.{d.randint(0, 9)}",
    lambda d: f"icon@{d.randint(2, 3)}x.png",
    lambda d: f"@{d.choice(('zhangsan', 'everyone'))} 请看",
    lambda d: f"新A{d.choice((100, 800, 10))}显卡到货",
    lambda d: f"苏E{d.choice((5, 7))}处理器",
    lambda d: f"川藏线G{d.randint(100, 999)}",
    lambda d: f"[{d.randint(10**9, 10**10 - 1)}, {d.randint(10**9, 10**10 - 1)}]",
    lambda d: f"身份证号{_broken_resident_id(d)}",
    lambda d: f"卡号{_broken_card(d)}",
    lambda d: f"job-{_number(d, 4)}-{_number(d, 4)}-{_number(d, 4)}-{_number(d, 4)}-{_number(d, 4)}",
)


def _broken_resident_id(dice: random.Random) -> str:
    """A check digit that is wrong is a number that nobody has."""
    number = resident_id(dice).replace(" ", "").replace("-", "").upper()
    wrong = dice.choice([sign for sign in "0123456789" if sign != number[-1]])
    number = number[:-1] + wrong
    return (
        number if not (luhn.is_valid(number) and number.startswith(("62", "4", "5", "35", "37", "34", "65"))) else "0"
    )


def _broken_card(dice: random.Random) -> str:
    number = bank_card(dice).replace(" ", "").replace("-", "")
    number = number[:-1] + str((int(number[-1]) + dice.randint(1, 9)) % 10)
    return number if not (len(number) == 18 and ric.is_valid(number)) else "0"


_FILLERS = (
    "请帮我写一封投诉信，内容如下。",
    "以下是客户资料：",
    "麻烦总结一下这段对话。",
    "Please rewrite this politely: ",
    "The customer wrote: ",
    "根据合同第3条第2款，",
    "会议定于2026年11月22日14:30在8号楼1203室。",
    "价格为1,299.00元，",
    "他说：“明天见。”",
    "\n",
    "- ",
    "(see appendix A) ",
    "模型参数temperature=0.7，max_tokens=2048。",
    "{name}您好，",
    "Dear {name}, ",
)
_SEPARATORS = ("，", "。", "；", "\n", ", ", " | ", "\t", "；\n", ". ", " ")


def make(dice: random.Random) -> Text:
    """One text with up to four planted pieces and up to three that look alike."""
    parts: list[tuple[str, Kind | None, tuple[int, int]]] = []
    for _ in range(dice.randint(0, 4)):
        kind, draw, frames = dice.choice(_PERSONAL)
        value, frame = draw(dice), dice.choice(frames)
        if dice.random() < 0.08:
            value = value.translate(_FULL_WIDTH)
        before, after = frame.split("{}")
        parts.append((before + value + after, kind, (len(before), len(before) + len(value))))
    parts += [(dice.choice(_NEAR)(dice), None, (0, 0)) for _ in range(dice.randint(0, 3))]
    parts += [
        (dice.choice(_FILLERS).replace("{name}", dice.choice(_NAMES)), None, (0, 0)) for _ in range(dice.randint(1, 4))
    ]
    dice.shuffle(parts)
    text, planted = "", []
    for part, kind, (start, end) in parts:
        if kind is not None:
            planted.append(Planted(kind, len(text) + start, len(text) + end))
        text += part + dice.choice(_SEPARATORS)
    return Text(text, tuple(planted))


def texts(count: int, seed: int) -> list[Text]:
    dice = random.Random(seed)
    return [make(dice) for _ in range(count)]

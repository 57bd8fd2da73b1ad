import pytest

from inference.masking import Kind, mask

PERSONAL = {
    "身份证110101199003070092": Kind.RESIDENT_ID,
    "id 11010119900307070X.": Kind.RESIDENT_ID,
    "110101-19900307-070x": Kind.RESIDENT_ID,
    "１１０１０１１９９００３０７０７０Ｘ": Kind.RESIDENT_ID,
    "13800138000": Kind.MOBILE,
    "+86 138-0013-8000": Kind.MOBILE,
    "(+86)13800138000": Kind.MOBILE,
    "tel13800138000": Kind.MOBILE,
    "138–0013–8000": Kind.MOBILE,
    "卡号6222021234567890128": Kind.BANK_CARD,
    "4111 1111 1111 1111": Kind.BANK_CARD,
    "3782-822463-10005": Kind.BANK_CARD,
    "护照E12345678": Kind.PASSPORT,
    "EA1234567": Kind.PASSPORT,
    "passport no. 533380006": Kind.PASSPORT,
    "京A12345": Kind.LICENCE_PLATE,
    "沪AD12345": Kind.LICENCE_PLATE,
    "粤B12345D": Kind.LICENCE_PLATE,
    "京A·F0236": Kind.LICENCE_PLATE,
    "粤Z1234港": Kind.LICENCE_PLATE,
    "to li.lei+x@example.com.cn now": Kind.EMAIL,
    "邮箱a@b.io。": Kind.EMAIL,
}
NO_ONES = (
    "110101199003070098",  # the check digit is wrong
    "110101199013070096",  # there is no thirteenth month
    "order 13800138000",
    "订单号：13800138000",
    "13800138000元",
    "¥13800138000",
    "0.13800138000",
    "138001380001",
    "a13800138000",
    "12800138000",
    "1700000000000",
    "4111 1111 1111 1112",
    "0000 0000 0000 0000",
    "4111-1111-1111-1111-1",
    "b4111111111111111",
    "e12345678",
    "型号E12345678",
    "SKU AB1234567",
    "新A100显卡",
    "苏E5处理器",
    "京I12345",
    "京AABC12",
    "icon@2x.png",
    "pkg@1.2.3",
    "@everyone",
    "a..b@example.com",
    "user@host",
)


@pytest.mark.parametrize(("text", "kind"), PERSONAL.items())
def test_found(text: str, kind: Kind) -> None:
    found = mask(text)
    assert dict(found.counts) == {kind: 1}
    assert kind.mask in found.text


@pytest.mark.parametrize("text", NO_ONES)
def test_left_alone(text: str) -> None:
    assert mask(text) == (text, {})


def test_what_stands_around_stays() -> None:
    text = mask("请拨打13800138000，或写信到 a@b.cn。Two: 13900139000 13700137000").text
    assert text == "请拨打[MOBILE]，或写信到 [EMAIL]。Two: [MOBILE] [MOBILE]"


def test_masked_once_is_masked_for_good() -> None:
    once = mask("护照E12345678 手机13800138000 a@b.cn 京A12345").text
    assert mask(once) == (once, {})

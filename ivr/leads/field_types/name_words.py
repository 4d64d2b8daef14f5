"""The words of a name in any script, and where in a sentence people say theirs. Judges no name."""

import re
import unicodedata
from collections.abc import Collection

_JOINERS = "'.-"
_ENGLISH = re.compile(
    r"\b(?:(?P<clear>my (?:full |first )?name(?:'s| is)|you'?re speaking (?:with|to)|call me"
    r"|mera na(?:am|me)|(?:ana )?[ie]smi|me llamo|mi nombre es|je m'appelle|mein name ist"
    r"|ich heiße)"
    r"|(?P<vague>this is|i'?m|i am))\s+(?P<name>.+)",
    re.IGNORECASE,
)
_CLAUSE = re.compile(
    r"[,.;!?،؛؟]|\b(?:and|but|i|i'm|from|calling|in|here|speaking|looking|with|who|please|hai|et|und)\b",
    re.I,
)
# Written with a capital letter like a name.
_NO_NAMES = frozenset(
    "american arab australian british canadian chinese egyptian emirati english filipino french "
    "german indian iraqi jordanian kuwaiti lebanese mexican moroccan muslim pakistani saudi "
    "spanish syrian turkish ok okay interested looking sorry good fine great happy ready".split()
)
# Common where our tenants' contacts live; lists of US names know few of them.
COMMON_ABROAD = frozenset(
    "abdul abdullah abdulrahman adnan ahmad ahmed aisha ali amina amir amna anas asad ayesha bilal "
    "fahad faisal farah fatima hamza hana hasan hassan hussain hussein ibrahim imran iqra khalid "
    "layla mariam maryam mohamed mohammad mohammed muhammad mustafa nasser noor nour omar osama "
    "rashid saad saif salman sami sana sara sultan tariq umar usman yasmin youssef yusuf zainab "
    "priya rahul raj ravi sanjay anita deepak".split()
)
ARABIC_LEAD_IN = re.compile(
    r"^(?:(?:مرحبا|مرحبًا|أهلا|أهلًا|اهلا|السلام عليكم|هلا|نعم)[\s،,.!]+)*"
    r"(?:(?:و?[أاإ]?نا )?[اإ]سمي(?: هو| الكامل)?|[أا]نا|معك|معكم|الاسم|[اإ]سم)\s*[:،]?\s+"
)
_ARABIC = re.compile(r"(?<!\w)(?:و?[اإ]سمي(?: هو)?|[أا]نا(?: [اإ]سمي)?|معك|معكم)\s+(?P<name>.+)")
_ARABIC_END = re.compile(
    r"[,.;!?،؛؟]|(?<!\w)(?:من|في|و?[أا]ريد|و?[أا]ود|و?[أا]بحث|و?[أا]رغب|و?[أا]حتاج|و?عايز|و?عاوز"
    r"|و?[أا]بغى|و?[أا]بي|و?مهتم|و?مهتمة|و?[أا]سكن|و?[أا]عيش|و?رقمي|و?ميزانيتي|و?لدي|و?عندي|و?كنت"
    r"|هنا|يتحدث|و)(?!\w)"
)
_NO_ARABIC_NAMES = frozenset(
    "أريد اريد وأريد واريد مهتم مهتمة طالب طالبة أبحث ابحث محتاج لا نعم ليس هل ما ماذا كيف متى أين "
    "لماذا شكرا شكرًا مرحبا مرحبًا السلام عليكم دورة شقة فيلا شراء إيجار بيع أود اود هنا جديد جاهز "
    "سعودي سعودية مصري مصرية رقم هاتف ميزانية موظف مدير من في "
    "صباح مساء الخير النور أهلا أهلًا اهلا وزوجتي وزوجي زوجتي زوجي وعائلتي وأهلي واهلي أقرر اقرر "
    "صاحب صاحبة".split()
)


def words_of(text: str) -> list[str]:
    """Return the words of `text` in any script, marks on letters kept, Arabic vowel signs not."""
    kept = "".join(char if _belongs(char) else " " for char in text if not _is_sign(char))
    parts = (part for word in kept.split() for part in re.split(r"['.-]{2,}", word))
    # A mark that belongs to no letter is none of a name.
    return [bare for part in parts if (bare := re.sub(r"^\W+", "", part).rstrip(_JOINERS))]


def said_in_english(text: str, common: Collection[str], *, single: bool) -> str:
    """Return what follows "my name is", up to the next clause; after "I'm" only what is written
    like a name, or is a common one. "" when there is nothing of the kind.
    """
    match = _ENGLISH.search(text)
    if match is None:
        return ""
    clause = _CLAUSE.split(match["name"])[0].strip()
    if match["clear"] or (not single and re.match("this", match["vague"], re.I)):
        return clause
    words = clause.split()
    known = {*common, *COMMON_ABROAD}
    is_name = words and all(word[:1].isupper() or word.casefold() in known for word in words)
    return clause if is_name and words[0].casefold() not in _NO_NAMES else ""


def said_in_arabic(text: str) -> str:
    """Return what follows "اسمي" or "أنا", up to the next clause; "" when there is none."""
    match = _ARABIC.search(text)
    clause = _ARABIC_END.split(match["name"])[0].strip() if match else ""
    return clause if len(clause.split()) <= 4 else ""


def is_no_arabic_name(word: str) -> bool:
    """Whether a word is one of those that begin an Arabic sentence and are no name."""
    return word in _NO_ARABIC_NAMES


def _belongs(char: str) -> bool:
    return char.isalpha() or char in _JOINERS or unicodedata.category(char) in ("Mn", "Mc")


def _is_sign(char: str) -> bool:
    """Whether it is an Arabic vowel sign or an invisible mark, which no two people set alike."""
    return "\u064b" <= char <= "\u0652" or unicodedata.category(char) == "Cf"

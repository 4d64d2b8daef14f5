"""Whether a text asks us to stop, to start again, or for help. Decides nothing else.

`read`: the commands that phone networks know. `revocation`: the same wish in free words, English or
Arabic, which binds as much; where it may mean something else the verdict is "doubtful" and a person
should look.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Literal

Command = Literal["stop", "start", "help"]
Verdict = Literal["certain", "doubtful"]

# Twilio, opt-out keywords: the defaults of long codes; then the same in Arabic.
_COMMANDS: dict[str, Command] = {
    **dict.fromkeys("stop unsubscribe end quit stopall revoke optout cancel".split(), "stop"),
    **dict.fromkeys(
        ("stop all", "opt out", "توقف", "ايقاف", "قف", "الغاء", "الغاء الاشتراك"), "stop"
    ),
    **dict.fromkeys(("start", "yes", "unstop", "ابدا"), "start"),
    **dict.fromkeys(("help", "info", "مساعده"), "help"),
}
_PROVIDERS_WORDS: dict[str, Command] = {"STOP": "stop", "START": "start", "HELP": "help"}

_PAUSES = re.compile(r"[.,!?;:\n\r()\[\]—–…؟،؛|/]+")
_BORDERS = re.compile(rf"{_PAUSES.pattern}|\b(?:and|but|because|so)\b")
_ARABIC_SPELLINGS = str.maketrans(
    {**dict.fromkeys("أإآٱ", "ا"), "ى": "ي", "ة": "ه", "ؤ": "و", "ـ": None}
)

_US = r"(?:me|us|this (?:number|phone)|my (?:phone|number|cell|mobile))"
_WRITING = (
    r"(?:texting|messaging|msging|contacting|bothering|spamming|harassing|pestering|whatsapping|"
    r"writing(?: to)?|sms(?:ing)?|calling)"
)
_WRITE = r"(?:text|message|msg|contact|sms|whatsapp|write(?: to)?|bother|spam|harass|disturb)"
_TEXTS = (
    r"(?:(?:text|sms|whatsapp|marketing|automated) )?"
    r"(?:texts?|messages?|msgs?|sms|spam|whatsapps?|notifications?|communications?)"
)
_THESE = r"(?:(?:me|us|all|any|the|these|those|this|your|my|more|so many|of|to)\b ?)*"
# What may follow without changing anything, up to the end of the clause.
_TAIL = (
    r"(?: (?:please|pls|plz|now|anymore|any more|ever|again|already|thanks|thank you|from you|"
    r"immediately|at once|right now|today|ok|okay|it|then|man|bro|guys|sir))*$"
)
_AND_GONE = r"(?: (?:please|now|from|off|out|in|on)\b.*)?$"
_REMOVE_MINE = (
    r"\b(?:remove|delete|erase|drop) "
    rf"my (?:phone |cell |mobile )?(?:number|name|info|contact|details|data){_AND_GONE}",
    # The word for "old" or "last" comes behind the noun: only these change nothing.
    r"(?:^| )(?:احذف|احذفوا|امسح|امسحوا|شيل|شيلوا|ازل|ازيلوا|حذف|مسح) (?:(?:كل|جميع) )?"
    r"(?:بياناتي|معلوماتي|رقمي|اسمي)"
    r"(?: (?:الشخصيه|كلها|كله|نهائيا|تماما|بالكامل|فورا|الان|رجاء|وشكرا|شكرا|"
    r"و?(?:بياناتي|معلوماتي|رقمي|اسمي)))*"
    r"(?: (?:من|عندكم|لديكم|عندك|لديك|لو سمحت\w*)\b.*)?$",
)
_DO_NOT = r"\b(?:do not|dont|never|no longer)"
_ENGLISH = (
    # stop writing to me
    rf"\b(?:stop|quit|cease)(?: \w+ing and)? {_WRITING}(?: to)? {_US}\b",
    rf"\b(?:stop|quit|cease) {_WRITING}{_TAIL}",
    rf"\bstop (?:sending|with) {_THESE}(?:{_TEXTS}|stuff|things|anything|crap)?{_TAIL}",
    rf"\b(?:stop|end|cancel) {_THESE}{_TEXTS}{_TAIL}",
    # do not write to me
    rf"{_DO_NOT}(?: you)?(?: ever)?(?: dare)? {_WRITE} {_US}\b",
    rf"{_DO_NOT}(?: ever)? call {_US} (?:again|anymore|any more|ever)\b",
    rf"{_DO_NOT}(?: ever)? send {_US} {_THESE}(?:{_TEXTS}|anything|stuff){_TAIL}",
    # I want no messages
    rf"{_DO_NOT} (?:want|wish|need|like|consent)(?: to)?"
    rf"(?: (?:get|getting|receive|receiving|have))? {_THESE}{_TEXTS}{_TAIL}",
    rf"{_DO_NOT} (?:want|wish) (?:to be|being|you to|you|to get) "
    r"(?:text|messag|contact|spamm|bother)\w*",
    rf"\bno more {_TEXTS}{_TAIL}",
    # forget me
    rf"\b(?:remove|delete|erase|drop) (?:me|us|this number){_AND_GONE}",
    r"\btake (?:me|us|my (?:number|name)|this number) (?:off|out|from|of)\b",
    r"\b(?:lose|forget) my (?:phone )?number\b",
    r"\bunsubscribe(?: me| us| this number)?"
    rf"(?: from (?:this|your|the|all|these|everything|you)\b.*)?{_TAIL}",
    r"\bopt(?:ing)?(?: me| us)? out"
    rf"(?: (?:of|from) (?:this|your|these|all|any)\b.*| of (?:texts?|messages?))?{_TAIL}",
    r"\bleave (?:me|us) alone\b",
    r"\b(?:do not|dont) (?:contact|disturb|call) list\b",
    r"\b(?:revoke|withdraw)\w* (?:my )?(?:consent|permission)\b",
)
_SEND_ME = r"(?:ترسل|تبعت|تراسل|تكتب)(?:وا|ي|ون)?(?:و?ني)?(?: ?(?:لي|الي|ليا|لنا|اي))*"
_MESSAGES = r"(?:رسائل|رسايل|رساله|مسجات|شي|شيء|حاجه)"
_NEVER_AGAIN = (
    r"(?: (?:مره اخري|مره ثانيه|تاني|ثاني|بعد الان|بعد اليوم|مجددا|ابدا|من فضلك|لو سمحت|نهائيا))*$"
)
_I_WANT_NO = r"(?:لا اريد|لا ارغب في|ما ابي|ما ابغي|مش عايز|مش عاوز|ما بدي)"
_ARABIC = (
    rf"(?:^| )(?:لا|ما|بلاش|ولا)(?: عاد)? {_SEND_ME}(?: {_MESSAGES})?{_NEVER_AGAIN}",
    r"(?:^| )(?:لا|ما|بلاش) (?:تزعج|تراسل|تتواصل|تكلم)\w*(?:ني| معي|نا)\b",
    r"(?:^| )(?:توقف|توقفوا|كفي|كفوا|وقف|وقفوا|اوقف|اوقفوا|بطل|بطلوا)(?: عن)? "
    r"(?:ال)?(?:مراسل|ارسال|رسائل|رسايل|ازعاج|تواصل)\w*",
    r"(?:^| )(?:الغ|الغي|الغوا|الغاء) (?:ال)?اشتراك\w*",
    r"(?:^| )(?:احذفني|احذفوني|ازلني|ازيلوني|شيلني|شيلوني) من\b",
    r"(?:^| )(?:اتركني|اتركوني|سيبني|سيبوني|خلني|خلوني|دعني|دعوني) "
    r"(?:في حالي|وشاني|لحالي|لوحدي)\b",
    rf"(?:^| ){_I_WANT_NO} (?:(?:اي|مزيد من|المزيد من|استلام|تلقي|استقبال) )*"
    r"(?:ال)?(?:رسائل|رسايل|مسجات)\w*",
)
_REMOVALS = tuple(re.compile(pattern) for pattern in _REMOVE_MINE)
_CERTAIN = (*(re.compile(pattern) for pattern in (*_ENGLISH, *_ARABIC)), *_REMOVALS)
_NOT_NEVER = r"(?<!dont )(?<!not )(?<!never )"
_DOUBTFUL = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\b(?:stop|quit|cease) {_WRITING}$",
        r"\bunsubscribe\b",
        r"\bopt(?:ing)?(?: me)? out\b",
        rf"{_DO_NOT} (?!bother$)(?:{_WRITE}|call)(?: {_US})?$",
        r"\b(?:stop|no more) (?:sending|calls)\b",
        r"^wrong (?:number|person)$",
        r"\b(?:this is|you have|have|got) (?:the )?wrong (?:number|person)\b",
        r"^(?:go away|get lost|piss off|fuck off|f off|shut up|buzz off)\b",
        r"\b(?:this is|thats|reporting? (?:this|you) (?:as|for)) (?:spam|harassment)\b",
        r"(?:^| )(?:الرقم|رقم) (?:غلط|خطا|خاطي|خاطئ)",
        r"(?:^| )(?:لا|بلاش) (?:ترسل|تبعت|تراسل)",
        # to be forgotten, or only a value of theirs that is wrong
        rf"{_NOT_NEVER}\b(?:delete|erase|remove|destroy|wipe) (?:(?:all|any|of|every|the) )*"
        r"(?:my|our) (?:\w+ ){0,2}?"
        r"(?:data|infos?|information|details|records?|name|contacts?|number)\b",
        r"^(?!.*\b(?:(?:did|do|does|will|have|had) (?:you|u|they|yall)|"
        r"dont|not|never|didnt|wont|cant|doesnt|why|how)\b)"
        r".*\bforget (?:about )?me(?: (?:please|now))*$",
        r"(?:^| )(?:احذف|احذفوا|امسح|امسحوا|شيل|شيلوا|ازل|ازيلوا|حذف|مسح) (?:(?:كل|جميع) )?"
        r"(?:بياناتي|معلوماتي|رقمي|اسمي)(?: |$)",
    )
)
# A stop that stands for itself, with nothing around it but manners.
_BARE = re.compile(
    r"(?:(?:please|pls|plz|just|ok|okay|no|now|can you|could you|you|i said|hey) )*"
    r"(?:stop|unsubscribe)"
    r"(?: (?:please|pls|plz|now|it|this|all|already|thanks|thank you|everything|right now))*"
)
# To be forgotten, which is more than not to be written to. With any other word before the noun it
# may be a value that is wrong: "my old number", "my last name", "my trade-in information".
_FORGET = (
    re.compile(
        r"\b(?:delete|erase|remove|destroy|wipe) (?:(?:all|any|of|every|the) )*(?:my|our) "
        r"(?:(?:(?:personal|private|own|contact|customer) )*"
        r"(?:data|infos?|information|details|records?)\b"
        rf"|(?:name|contacts?|(?:phone |cell |mobile )?number){_AND_GONE})"
    ),
    _REMOVALS[1],
)
# Nothing but manners before it, or it is "did you forget about me", "don't you forget me".
_FORGET_ME = re.compile(
    r"(?:(?:please|pls|plz|kindly|just|ok|okay|no|now|hey|hi|can you|could you|i said|"
    r"i (?:want|need) you to|(?:id|i would) like you to) )*"
    r"forget (?:about )?me"
    r"(?: (?:please|pls|plz|now|ok|okay|thanks|thank you|forever|completely|altogether|already))*"
)
_WRONG_NUMBER = re.compile(
    r"(?:(?:sorry|hi|hey|no|i think|think|hello|um) )*"
    r"(?:(?:you|u)(?:ve| have)? (?:got |have |texted |reached |the )*"
    r"|(?:this|it|thats?)(?: is|s)? )?"
    r"(?:the |a )?wrong (?:number|person)(?: (?:sorry|please|pls|mate|buddy|here))*"
    r"|(?:هذا )?(?:ال)?رقم (?:غلط|خطا|خاطي|خاطئ)"
)
_LONGEST = 5000  # characters of whatever somebody pastes into a chat
_MOST_BESIDE_BARE = 5  # words; with more of them it may be "stop, I meant the other one"
# Before the wish: then it is the opposite, or somebody else's.
_OPPOSITE = re.compile(
    r"\b(?:dont|do not|never|please do|(?:لا|ما|مش|مو) (?:اريد|اود|ابي|ابغي|عايز|عاوز|بدي))$"
)
# Whether it was done, or why: nobody asks for it. "هل يمكن" is a wish.
_ASKED = re.compile(
    r"\b(?:(?:did|do|have|had) (?:you|u|they|yall)|why|"
    r"هل(?! (?:يمكن|ممكن|تستطيع|تقدر))|لماذا|ليش|ليه|متي|مين|تم)\b"
)
# Anywhere in the text: another value takes the place of what is to go.
_CORRECTED = re.compile(
    r"\b(?:(?:my|the) new (?:number|name)|new one is|replace|change it|put (?!me\b|us\b)|"
    r"use (?:this|\d)|الجديد|بدلا|بداله)"
)
_OTHERS = re.compile(
    r"\b(?:he|she|they|him|her|them|his|their|who|someone|somebody|people|kids?|wife|husband|ex|"
    r"boss|friend|wont|cant|cannot|doesnt|didnt|not(?! interested)|if|when|how|bus|will i|"
    r"should i|did i)\b"
)
# After it: only for a time, or only in one way.
_LIMITED = re.compile(
    r"^ ?(?:after|before|until|till|during|while|between|unless|if|when|tonight|today|"
    r"at (?!all|this)|on (?!this|my)|in the|about|too|so|then|yet|instead|late|early|"
    r"by (?!text|sms)|more than)"
    r"|(?:^| )(?:قبل|حتي|بعد الساعه|الا|اليوم)\b"
)


def read(text: str, opt_out_type: str | None = None) -> Command | None:
    """Return the command that the whole text is; what the provider read counts more.

    "YES" is "start": it means that only from somebody who had stopped.
    """
    if opt_out_type and opt_out_type.upper() in _PROVIDERS_WORDS:
        return _PROVIDERS_WORDS[opt_out_type.upper()]
    return _COMMANDS.get(" ".join(_BORDERS.sub(" ", _plain(text)).split()))


def is_free_text_revocation(text: str) -> bool:
    """Whether the text, in whatever words, surely asks us to write no more."""
    return revocation(text) == "certain"


def asks_to_be_forgotten(text: str) -> bool:
    """Whether the text surely asks that nothing be kept of who says it."""
    text = text[:_LONGEST]
    if any(_FORGET_ME.fullmatch(" ".join(part.split())) for part in _PAUSES.split(_plain(text))):
        return True
    if _CORRECTED.search(_plain(text)):
        return False
    for clause in _clauses(text):
        for pattern in _FORGET:
            if found := pattern.search(clause):
                before, after = clause[: found.start()].strip(), clause[found.end() :]
                if not any(it.search(before) for it in (_OPPOSITE, _OTHERS, _ASKED)):
                    return not _LIMITED.search(after)
    return False


def is_wrong_number(text: str) -> bool:
    """Whether the text says no more than that we have the wrong number."""
    return bool(_WRONG_NUMBER.fullmatch(" ".join(_clauses(text[:_LONGEST]))))


def is_refusal(text: str) -> bool:
    """Whether the text is a STOP or surely means one: it answers no question."""
    return read(text) == "stop" or is_free_text_revocation(text)


def revocation(text: str) -> Verdict | None:
    """Return how sure it is that the text asks us to write no more; None: it does not."""
    if asks_to_be_forgotten(text):
        return "certain"
    verdicts = set(_verdicts(text[:_LONGEST]))
    if "certain" in verdicts:
        return "certain"
    return "doubtful" if verdicts else None


def _verdicts(text: str) -> Iterator[Verdict]:
    clauses = _clauses(text)
    is_corrected = bool(_CORRECTED.search(_plain(text)))
    words = sum(len(clause.split()) for clause in clauses)
    for clause in clauses:
        if _BARE.fullmatch(clause):
            beside = words - len(clause.split())
            yield "certain" if beside <= _MOST_BESIDE_BARE and "wait" not in clauses else "doubtful"
        elif verdict := _of_clause(clause, is_corrected=is_corrected):
            yield verdict


def _clauses(text: str) -> list[str]:
    clauses = (" ".join(part.split()) for part in _BORDERS.split(_plain(text)))
    return [clause for clause in clauses if clause]


def _of_clause(clause: str, *, is_corrected: bool) -> Verdict | None:
    for pattern in _CERTAIN:
        if found := pattern.search(clause):
            before, after = clause[: found.start()].strip(), clause[found.end() :]
            if _OPPOSITE.search(before):
                return None
            if _OTHERS.search(before) or _LIMITED.search(after):
                return "doubtful"
            if pattern in _REMOVALS and (is_corrected or _ASKED.search(before)):
                return "doubtful"
            return "certain"
    return "doubtful" if any(pattern.search(clause) for pattern in _DOUBTFUL) else None


def _plain(text: str) -> str:
    """Return the text in small letters, without accents, apostrophes and signs that say nothing."""
    text = unicodedata.normalize("NFKC", text).casefold().translate(_ARABIC_SPELLINGS)
    letters = (one for one in unicodedata.normalize("NFD", text) if not unicodedata.combining(one))
    text = re.sub(r"['‘’´`]", "", "".join(letters)).translate(_ARABIC_SPELLINGS)
    return re.sub(r"[^\w\s.,!?;:()\[\]—–…؟،؛|/]+", " ", text)

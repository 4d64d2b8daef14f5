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

_BORDERS = re.compile(r"[.,!?;:\n\r()\[\]—–…؟،؛|/]+|\b(?:and|but|because|so)\b")
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
    r"\b(?:remove|delete|erase|drop) "
    r"(?:me|us|this number|my (?:phone |cell |mobile )?(?:number|name|info|contact|details|data))"
    r"(?: (?:please|now|from|off|out|in|on)\b.*)?$",
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
    r"(?:^| )(?:احذف|احذفوا|امسح|امسحوا|شيل|شيلوا|ازل|ازيلوا|حذف) (?:رقمي|اسمي|بياناتي)\b",
    r"(?:^| )(?:احذفني|احذفوني|ازلني|ازيلوني|شيلني|شيلوني) من\b",
    r"(?:^| )(?:اتركني|اتركوني|سيبني|سيبوني|خلني|خلوني|دعني|دعوني) "
    r"(?:في حالي|وشاني|لحالي|لوحدي)\b",
    rf"(?:^| ){_I_WANT_NO} (?:(?:اي|مزيد من|المزيد من|استلام|تلقي|استقبال) )*"
    r"(?:ال)?(?:رسائل|رسايل|مسجات)\w*",
)
_CERTAIN = tuple(re.compile(pattern) for pattern in (*_ENGLISH, *_ARABIC))
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
    )
)
# A stop that stands for itself, with nothing around it but manners.
_BARE = re.compile(
    r"(?:(?:please|pls|plz|just|ok|okay|no|now|can you|could you|you|i said|hey) )*"
    r"(?:stop|unsubscribe)"
    r"(?: (?:please|pls|plz|now|it|this|all|already|thanks|thank you|everything|right now))*"
)
_LONGEST = 5000  # characters of whatever somebody pastes into a chat
_MOST_BESIDE_BARE = 5  # words; with more of them it may be "stop, I meant the other one"
# Before the wish: then it is the opposite, or somebody else's.
_OPPOSITE = re.compile(r"\b(?:dont|do not|never|please do)$")
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


def revocation(text: str) -> Verdict | None:
    """Return how sure it is that the text asks us to write no more; None: it does not."""
    verdicts = set(_verdicts(text[:_LONGEST]))
    if "certain" in verdicts:
        return "certain"
    return "doubtful" if verdicts else None


def _verdicts(text: str) -> Iterator[Verdict]:
    clauses = [" ".join(part.split()) for part in _BORDERS.split(_plain(text))]
    clauses = [clause for clause in clauses if clause]
    words = sum(len(clause.split()) for clause in clauses)
    for clause in clauses:
        if _BARE.fullmatch(clause):
            beside = words - len(clause.split())
            yield "certain" if beside <= _MOST_BESIDE_BARE and "wait" not in clauses else "doubtful"
        elif verdict := _of_clause(clause):
            yield verdict


def _of_clause(clause: str) -> Verdict | None:
    for pattern in _CERTAIN:
        if found := pattern.search(clause):
            before, after = clause[: found.start()].strip(), clause[found.end() :]
            if _OPPOSITE.search(before):
                return None
            if _OTHERS.search(before) or _LIMITED.search(after):
                return "doubtful"
            return "certain"
    return "doubtful" if any(pattern.search(clause) for pattern in _DOUBTFUL) else None


def _plain(text: str) -> str:
    """Return the text in small letters, without accents, apostrophes and signs that say nothing."""
    text = unicodedata.normalize("NFKC", text).casefold().translate(_ARABIC_SPELLINGS)
    letters = (one for one in unicodedata.normalize("NFD", text) if not unicodedata.combining(one))
    text = re.sub(r"['‘’´`]", "", "".join(letters)).translate(_ARABIC_SPELLINGS)
    return re.sub(r"[^\w\s.,!?;:()\[\]—–…؟،؛|/]+", " ", text)

"""Whether somebody asks for a person, in English or Arabic: families of phrasing, no model.

A request is a way of asking, somebody who works for the business, and nothing that makes another
thing of it ("the agent's fee", "human resources"). Pure: text in, yes or no out.
"""

import re

from ivr.leads.field_types.speech import tidy

_LONGEST = 2000  # characters of a message that are read


def wants_person(text: str) -> bool:
    """Return whether `text` asks to be put through to a person, or refuses to go on without."""
    plain = tidy(text[:_LONGEST]).casefold()
    if _REFUSES_MACHINE.search(plain) or _ARABIC_REQUEST.search(_without_marks(plain)):
        return True
    return bool(_REQUEST.search(_NOT_WANTED.sub(" ", plain)))


def says(word: str, text: str) -> bool:
    """Return whether `text` speaks of a `word` of ours: "travel agent", "my manager" are others."""
    plain = tidy(text[:_LONGEST]).casefold()
    found = re.finditer(rf"\b{re.escape(word.casefold())}s?\b{_NOT_A_PERSON}", plain)
    return any(not _NOT_OURS.search(plain[: match.start()]) for match in found)


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


# --- Who is asked for.

_SOMEONE = r"(?:some|any) ?(?:one|body)"
_HUMAN = r"(?:person|human(?: being)?s?|living soul|man|woman|individual)"
_CLERK = (
    r"(?:agent|rep|representative|advis[eo]r|operator|manager|supervisor|boss|colleague|employee"
    r"|consultant|specialist|expert|attendant|receptionist|associate|sales ?(?:person|man|woman)"
    r"|member of (?:the |your )?(?:staff|team)|(?:staff|team) member|guy|lady)s?"
)
_TEAM = (
    r"(?:team|department|branch|staff|personnel|management|sales|desk|reception|concierge"
    r"|housekeeping|head office|support|call cent(?:er|re)"
    r"|(?:customer|client|guest|room|technical|tech) ?(?:services?|support|care|relations))"
)
_THE = r"(?:(?:an?|the|your|(?:one|some|any) of your|some|another|any|this|that|other) )"
_GENUINE = r"(?:real|live|actual|proper|living|breathing|human|physical|non-?\s?robot(?:ic)?)"
_WORK = r"(?:(?!of|estate|travel|my|about|for|and|not|who|to|with|in|at)[\w-]+ )"  # "duty manager"
# What follows may make another thing of it, or show that somebody is only told about.
_NOT_A_PERSON = (
    r"(?!['-]\w|\s+(?:resources|rights|errors?|nature|fees?|numbers?|names?|discounts?|commissions?"
    r"|costs?|rates?|said|says|told|tells|gave|already (?:said|told)|(?:is|was) (?:my|a|an|the)\b"
    r"|(?:first|before)\b))"
)
_STAFF = (
    rf"(?:{_THE}*(?:{_GENUINE} |{_WORK}){{0,2}}(?:{_HUMAN}|{_CLERK}|{_TEAM}|{_SOMEONE})"
    rf"|{_THE}?{_GENUINE} (?:one|people)|(?:the|your|(?:one|some) of your) (?:\w+ )?people)\b"
    rf"{_NOT_A_PERSON}"
)
_ONE_OF_STAFF = (
    rf"(?:{_THE}*(?:{_GENUINE} )*(?:{_HUMAN}|{_CLERK})(?: of yours)?|(?:the|your) \w+ {_CLERK}"
    rf"|{_GENUINE} people"
    rf"|{_SOMEONE} (?:else|real|human|competent|who (?:can|could|knows|understands|speaks|is))"
    r"|(?:a |some )?(?:real |live )?human (?:help|assistance|support|contact|touch|interaction)"
    rf"|{_SOMEONE} (?:from|of|in|on|at) (?:the|your)(?: [\w-]+){{1,2}}"
    rf"|(?:customer|client) (?:service|support|care))\b{_NOT_A_PERSON}"
)
# "The spa", "your loans people": whoever is behind a door of ours, but nobody of their own.
_A_PLACE_OF_OURS = (
    r"(?:the|your|(?:one|some|any) of your) (?!bank|wife|husband|missus|kids|family|children|lender"
    r"|landlord|insur|seller|doctor|wi-?fi|internet|network|account|other (?:hotel|room|account)"
    r"|room|hotel|airport|page|website|link|savings|current)\w+"
)
# What stands before a word that is not about our people: "my account manager", "as a sales agent".
_NOT_OURS = re.compile(
    r"(?:\b(?:travel|estate|letting|insurance|booking|property|free|secret|\w+'s"
    r"|(?:my|our|his|her|their|whose)(?: [\w-]+)?"
    r"|(?:am|i'm|im|was|were|as|be|being|become|becoming)(?: an?| the)?(?: [\w-]+)?)) $"
)

# --- Ways of asking.

_TO = r"(?:to|with|w/)"
_TALK = (
    rf"(?:(?:spea?k|talk|chat)(?: (?:about )?(?:it|this|that))?(?: \w+ly)? {_TO}"
    rf"|(?:discuss|raise|take) (?:it|this|that)(?: up)? {_TO}|call(?:ed)? back (?:by|from)"
    rf"|(?:a |quick |little |short |brief )+(?:chat|word|talk|conversation|call) {_TO}"
    r"|(?:(?:get|be|go)(?: put| in)? (?:touch|contact|connected|through|transferred)|in touch)"
    rf" {_TO}"
    r"|(?:get|be) redirected to|hold of|reach|contact|complain to)"
)
_TALKING = (
    r"(?:(?:prefer|like|love|rather be|better|comfortable|mind|how about|instead of|about)"
    rf" (?:\w+ ){{0,2}}(?:speaking|talking|chatting|dealing)|(?:prefer to|rather) deal) {_TO}"
)
_MAY_I = (
    r"(?:(?:can|could|may|might) (?:i|we)|(?:want|wanna|need|like|love|wish|prefer|rather|let me"
    r"|let us|allow me|have|get|how (?:do|to|would)(?: i)?|able|possible|please|just|gotta)"
    r"(?: to)?)"
)
_PASS_ME = (
    r"(?:transfer|connect|put|pass|switch|redirect|forward|hand|route|patch)"
    r" (?:me|us|this call|the call|my call)"
)
_TO_WHOM = r"(?: (?:over|through|on|back|along|straight|directly|in touch))* (?:to|with)"
_GIVE_ME = (
    r"(?:(?:give|get|find|send|fetch|pass|bring|call)(?: me| us)|(?:want|need|demand|require)"
    r"|(?:would|'d|i) (?:like|love|prefer)|(?:would|'d) rather have|ask(?:ing)? for"
    r"|(?:can|could|may) (?:i|we) (?:have|get|see)|(?:is|are) there|(?:no )?more)"
)
_THEN = (
    r"(?=\s*$|\s*[.,!?;]|\s+(?:please|pls|now|right now|asap|instead|immediately|not|and|or|on the"
    r"|here|there|available|around|whom|i|we|because|tbh"
    r"|(?:that|who|which) (?:can|could|will|would|is|knows|understands|speaks|has)"
    r"|to (?:talk|speak|help|assist|call|look|deal|sort|explain|chat|contact|handle|answer)"
    r"|help|assist|take care|deal with|handle)\b)"
)
_SHALL = r"(?:can|could|may|would|will|have|get|want|need|ask|let|like|there|please)"
_ACT = (
    r"(?:to |please |just |maybe )*(?:help|take|look|call|ring|phone|contact|talk|speak|assist|deal"
    r"|handle|explain|sort|answer|reply|respond|write|text|get back|check|step in|join|see)"
)
_CALL_ME = r"(?:to |please |just )*(?:(?:call|ring|phone|contact|text)|(?:talk|speak|get back) to)"
_BEGIN = r"^(?:(?:hi|hello|hey|no|yes|ok|okay|sorry|please|just|um+|uh+)[,.!\s]+)*"
_OVER = r"(?:[,.!]?\s*(?:please|pls|now|thanks|thank you))*\s*[.!?]*$"

_REQUEST = _any(
    # "let me talk to a real person", "how can I reach your other agent", "speak to the manager"
    rf"\b(?:{_TALK}|{_TALKING}) {_STAFF}",
    # "I'd like to speak to the gym", "speak to your cleaners"
    rf"(?:{_BEGIN}|\b{_MAY_I} (?:[\w-]+ ){{0,3}}?){_TALK} {_A_PLACE_OF_OURS}",
    # "transfer me to the spa team", "put me through", "connect me please"
    rf"\b{_PASS_ME}{_TO_WHOM} (?:{_STAFF}|{_A_PLACE_OF_OURS})",
    rf"\b{_PASS_ME}(?: (?:through|over|on))?{_OVER}|\b(?:put|patch|pass) (?:me|us) through\b",
    # "give me a human", "I need an agent", "is there anybody else I can ask"
    rf"\b{_GIVE_ME} {_ONE_OF_STAFF}{_THEN}",
    rf"\b(?:get|take|bring|send|direct|refer) me (?:[\w-]+ ){{0,5}}?to {_ONE_OF_STAFF}",
    rf"\b{_GIVE_ME} {_SOMEONE} (?:in [\w ]+? )?(?:(?:that|who|whom) )?(?:i|we) (?:can|could)"
    r" (?:talk|speak|ask)\b",
    rf"\b{_GIVE_ME} {_SOMEONE} to (?:talk|speak|chat) {_TO}\b",
    # "can somebody else take a look", "have a manager call me", "can someone call me"
    rf"\b{_SHALL} {_ONE_OF_STAFF} {_ACT}\b",
    rf"\b{_SHALL} {_SOMEONE} {_CALL_ME} (?:me|us)\b",
    rf"\bwhom? (?:can|could|may) i (?:talk|speak|chat) {_TO}\b"
    r"|\bescalate (?:this|it|me|my \w+)\b",
    # "agent!", "spa team please", "customer service"
    rf"{_BEGIN}{_THE}?(?:{_GENUINE} )*(?:person|human(?: being)?|{_SOMEONE}|agent|operator"
    rf"|rep(?:resentative)?|reception|(?:customer|client) (?:service|support|care)){_OVER}",
    rf"{_BEGIN}{_THE}?(?:{_GENUINE} )*(?:{_HUMAN}|{_CLERK}|{_SOMEONE}(?: real)?),? please\b",
    rf"[,.!;] (?:a )?(?:{_GENUINE} )*(?:human(?: being)?|agent|operator|representative|person)"
    rf"{_OVER}",
    rf"{_BEGIN}{_THE}?(?:[\w-]+ ){{0,2}}{_TEAM},? please{_OVER}",
)
# What they say they do not want, up to its verb: "you don't need to transfer me to a person".
_NOT_WANTED = re.compile(
    r"\b(?<!why )(?:don'?t|do not|didn'?t|did not|doesn'?t|not|no need|never)"
    r"(?: (?:you|really|actually|yet|even|have|need|want|wish|like|going|trying|ask(?:ed|ing)?|to"
    r"))*"
    r" (?:(?:for )?(?=an? )|\w+)"
)
_MACHINE = r"(?:robot|bot|chat ?bot|machine|computer|ai|recording|program|voice ?mail)s?"
_REFUSES_MACHINE = _any(
    r"\b(?:don'?t|do not|not|never|won'?t|refuse|hate|tired|sick|fed up|stop|enough|rather not"
    r"|no more|instead|can'?t|uncomfortable)\b[^.!?]{0,40}"
    r"\b(?:talk|speak|chat|deal|communicat|shar|discuss"
    rf"|answer|listen)\w*\b[^.!?]{{0,40}}\b(?:to|with)(?: [\w-]+){{0,3}} {_MACHINE}\b",
    r"\b(?:don'?t|do not|not|never|hate|stop|tired of|sick of) (?:want|like|wish|going)?(?: to)?"
    rf" ?(?:talk|speak|chat)(?:ing)? {_TO} you(?: any ?more| any longer)?(?=\s*(?:$|[.,!?;]))",
)

# --- Arabic, after `_without_marks`.

_ARABIC_PERSON = (
    r"(?:ال|لل|ب)?(?:شخص|موظف|موظفه|انسان|احد|حد|مدير|مديره|ممثل|مندوب|مسوول|مسؤول|مستشار|بشر|بشري"
    r"|مشرف|وكيل|خدمه (?:ال)?(?:عملاء|زبائن)|استقبال|قسم \S+|فريق \S+|ناس)"
)
_ARABIC_TALK = (
    r"(?:ا|ن|ال|لل|ت)?(?:تحدث|تكلم|تحدت|حكي|كلم|حديث|كلام|تواصل|احكي|تصل)(?: (?:مع|الى|الي|ل|ب))?"
)
_ARABIC_REQUEST = _any(
    rf"{_ARABIC_TALK} (?:مع )?(?:اي )?{_ARABIC_PERSON}\b",
    rf"\b(?:حولني|حوليني|حولوني|وصلني|وصليني|وصلوني|تحويلي|توصيلي|اعطني|اعطيني|هاتلي|عطني)"
    rf"(?: (?:على|علي|الى|الي|مع|ل))* (?:ل)?(?:اي )?{_ARABIC_PERSON}",
    rf"\b(?:اريد|ابغي|ابغى|ابي|عايز|عاوز|بدي|احتاج|محتاج|نبي|نبغي|نبغى) (?:اي )?{_ARABIC_PERSON}\b",
    rf"\b(?:ممكن|هل يمكن|يمكن|خلي|خلو|خلوا) (?:ان )?(?:{_ARABIC_PERSON}) (?:ي|ت)\S+ني\b",
    rf"^(?:{_ARABIC_PERSON})(?: (?:حقيقي|حقيقيه|بشري|من فضلك|لو سمحت|رجاء))*[.!؟\s]*$",
)


def _without_marks(text: str) -> str:
    """Return Arabic text with one spelling of each letter, and none of the vowel marks."""
    bare = re.sub(r"[\u064b-\u0652\u0640]", "", text)
    return bare.translate(str.maketrans("أإآٱة", "ااااه"))

"""Reads TwiML as strictly as a careful reviewer: only the verbs this product uses, no misspelling.

Twilio ignores an unknown attribute; here it is an error: nobody writes one on purpose.
Executing the verbs is `interpreter.py`'s business.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from xml.etree import ElementTree

Check = Callable[[str], bool]


class TwimlError(Exception):
    """The document cannot be executed; `code` is Twilio's (12100 parse, 12300 content type...)."""

    def __init__(self, reason: str, code: str = "12100") -> None:
        super().__init__(f"{code} {reason}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Verb:
    """One element of the document."""

    name: str
    attributes: Mapping[str, str]
    text: str
    children: tuple["Verb", ...]

    def get(self, name: str, default: str = "") -> str:
        """Return an attribute."""
        return self.attributes.get(name, default)


@dataclass(frozen=True, slots=True)
class Rule:
    """What an element may contain; `text` is no, may or must."""

    attributes: Mapping[str, Check] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    children: frozenset[str] = frozenset()
    text: str = "no"


def matches(pattern: str) -> Check:
    """Return a check for values that match `pattern` as a whole."""
    expression = re.compile(pattern)
    return lambda value: expression.fullmatch(value) is not None


def is_web_address(value: str) -> bool:
    """Tell whether `value` is an absolute http(s) URL or a relative one."""
    parts = urlsplit(value)
    absolute = parts.scheme in {"http", "https"} and bool(parts.netloc)
    relative = not parts.scheme and not parts.netloc and bool(value)
    return (absolute or relative) and not re.search(r"\s", value)


def is_stream_address(value: str) -> bool:
    """Tell whether `value` is wss://host/path; a query string is not supported (31920)."""
    parts = urlsplit(value)
    return parts.scheme == "wss" and bool(parts.netloc) and not parts.query and not parts.fragment


NUMBER = matches(r"\d+")
POSITIVE = matches(r"[1-9]\d*")
BOOLEAN = matches("true|false")
METHOD = matches("GET|POST")
TEXT = matches(r"(?s).+")
KEYS = matches(r"[0-9*#]*")
LANGUAGE = matches(r"[a-z]{2,3}(-[A-Za-z0-9]+)*")
E164 = matches(r"\+[1-9]\d{6,14}")
URL, STREAM_URL = is_web_address, is_stream_address

SPOKEN = {"voice": TEXT, "language": LANGUAGE, "loop": NUMBER}
CALLBACK = {"statusCallback": URL, "statusCallbackMethod": METHOD}
RECORDING = {
    "recordingStatusCallback": URL,
    "recordingStatusCallbackMethod": METHOD,
    "recordingStatusCallbackEvent": TEXT,
    "trim": matches("trim-silence|do-not-trim"),
}
GATHER = {
    "input": matches("dtmf|speech|dtmf speech|speech dtmf"),
    "action": URL,
    "method": METHOD,
    "timeout": POSITIVE,
    "speechTimeout": matches(r"auto|[1-9]\d*"),
    "maxSpeechTime": POSITIVE,
    "numDigits": POSITIVE,
    "finishOnKey": matches("[0-9*#]?"),
    "hints": TEXT,
    "language": LANGUAGE,
    "actionOnEmptyResult": BOOLEAN,
    "bargeIn": BOOLEAN,
    "speechModel": TEXT,
    "profanityFilter": BOOLEAN,
    "enhanced": BOOLEAN,
}
DIAL = {
    "action": URL,
    "method": METHOD,
    "timeout": POSITIVE,
    "timeLimit": POSITIVE,
    "callerId": E164,
    "answerOnBridge": BOOLEAN,
    "hangupOnStar": BOOLEAN,
    "record": TEXT,
    **RECORDING,
}
RECORD = {
    "action": URL,
    "method": METHOD,
    "timeout": POSITIVE,
    "finishOnKey": KEYS,
    "maxLength": POSITIVE,
    "playBeep": BOOLEAN,
    **RECORDING,
}
STREAM = {"url": STREAM_URL, "name": TEXT, "track": matches("inbound_track"), **CALLBACK}

VERBS = frozenset(
    {"Connect", "Gather", "Say", "Pause", "Redirect", "Hangup", "Dial", "Record", "Reject"}
)
RULES: Mapping[str, Rule] = {
    "Response": Rule(children=VERBS),
    "Connect": Rule({"action": URL, "method": METHOD}, children=frozenset({"Stream"})),
    "Stream": Rule(STREAM, frozenset({"url"}), frozenset({"Parameter"})),
    "Parameter": Rule({"name": TEXT, "value": TEXT}, frozenset({"name", "value"})),
    "Gather": Rule(GATHER, children=frozenset({"Say", "Pause"})),
    "Say": Rule(SPOKEN, text="must"),
    "Pause": Rule({"length": NUMBER}),
    "Redirect": Rule({"method": METHOD}, text="may"),
    "Hangup": Rule(),
    "Dial": Rule(DIAL, children=frozenset({"Number"}), text="may"),
    "Number": Rule({"sendDigits": TEXT, "url": URL, "method": METHOD, **CALLBACK}, text="must"),
    "Record": Rule(RECORD),
    "Reject": Rule({"reason": matches("rejected|busy")}),
}


def parse_answer(content_type: str, body: bytes) -> tuple[Verb, ...]:
    """Return the verbs of an HTTP answer; raises TwimlError."""
    if content_type.partition(";")[0].strip().lower() != "text/xml":
        raise TwimlError(f"content type {content_type!r} instead of text/xml", "12300")
    return parse(body)


def parse(document: str | bytes) -> tuple[Verb, ...]:
    """Return the verbs of `document`; raises TwimlError naming the element."""
    try:
        root = ElementTree.fromstring(document)
    except ElementTree.ParseError as error:
        raise TwimlError(f"not XML: {error}") from error
    if root.tag != "Response":
        raise TwimlError(f"<Response> expected, not <{root.tag}>")
    return _verb(root).children


def _verb(element: ElementTree.Element) -> Verb:
    rule = RULES[element.tag]
    _check_attributes(element, rule)
    text = _text_of(element, rule)
    for child in element:
        if child.tag not in rule.children:
            raise TwimlError(f"<{child.tag}> is not allowed in <{element.tag}>", "12200")
    children = tuple(_verb(child) for child in element)
    verb = Verb(element.tag, dict(element.attrib), text, children)
    _check_whole(verb)
    return verb


def _check_attributes(element: ElementTree.Element, rule: Rule) -> None:
    for name, value in element.attrib.items():
        check = rule.attributes.get(name)
        if check is None:
            raise TwimlError(f"<{element.tag}> has no attribute {name!r}", "12200")
        if not check(value):
            raise TwimlError(f"<{element.tag} {name}={value!r}> is not a legal value", "12200")
    if missing := sorted(rule.required - element.attrib.keys()):
        raise TwimlError(f"<{element.tag}> lacks {', '.join(missing)}", "12200")


def _text_of(element: ElementTree.Element, rule: Rule) -> str:
    tails = "".join(child.tail or "" for child in element)
    text = " ".join((element.text or "").split())
    if tails.strip() or (text and rule.text == "no"):
        raise TwimlError(f"<{element.tag}> contains stray text", "12200")
    if rule.text == "must" and not text:
        raise TwimlError(f"<{element.tag}> is empty", "12200")
    return text


def _check_whole(verb: Verb) -> None:
    """Check what concerns more than one attribute or child."""
    match verb.name:
        case "Connect" if len(verb.children) != 1:
            raise TwimlError("<Connect> needs exactly one <Stream>", "12200")
        case "Parameter" if len(verb.get("name")) + len(verb.get("value")) >= 500:
            raise TwimlError("<Parameter> name and value reach 500 characters", "12200")
        case "Dial" if bool(verb.text) == bool(verb.children):
            raise TwimlError("<Dial> needs a number, as text or as <Number>", "12200")
        case "Response":
            _check_order(verb.children)


def _check_order(verbs: tuple[Verb, ...]) -> None:
    """A verb that can never run is a mistake of the writer."""
    for index, verb in enumerate(verbs):
        is_last = index == len(verbs) - 1
        if verb.name == "Reject" and len(verbs) > 1:
            raise TwimlError("<Reject> stands alone", "12200")
        if verb.name in {"Hangup", "Redirect"} and not is_last:
            raise TwimlError(f"<{verb.name}> is followed by verbs that never run", "12200")
        if verb.name in {"Connect", "Dial"} and verb.get("action") and not is_last:
            raise TwimlError(f"<{verb.name} action> is followed by verbs that never run", "12200")

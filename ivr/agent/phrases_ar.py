"""The fixed sentences of the assistant in Arabic, by their names in `phrases`."""

from collections.abc import Mapping

ARABIC: Mapping[str, str | tuple[str, ...]] = {
    "thanks": ("شكرًا لك.", "حسنًا.", "تمام."),
    "hello_again": "مرحبًا {name}، سعيد بتواصلك معنا من جديد.",
    "not_heard": "عذرًا، لم أسمعك.",
    "still_not_heard": "ما زلت لا أسمعك.",
    "machine": "أنا مساعد ذكي.",
    "transfer": "سأحولك الآن إلى أحد زملائنا. لحظة من فضلك.",
    "call_back": "سأطلب من أحد زملائنا أن يتواصل معك.",
    "closed": "لا يوجد أحد الآن. نفتح {when}، وسيتصل بك أحد زملائنا.",
    "ask_a_person": "سيجيبك أحد زملائنا عن ذلك عند التواصل معك.",
    "say_whole": "اكتب من فضلك {label} كاملًا.",
    "refused": "عذرًا، لم أفهم ذلك.",
    "sorry": "عذرًا على ذلك.",
    "go_on": "لنتابع.",
    "is_right": "لدي {value}: {label}. هل هذا صحيح؟",
    "did_you_mean": "هل تقصد {value}؟",
    "more": "وما اسم العائلة؟",
    "this_number": "هل نتواصل معك على هذا الرقم، {number}؟",
    "yes_or_no": "أجب بنعم أو لا من فضلك.",
    "keypad": "يمكنك أيضًا إدخاله بأزرار الهاتف.",
    "goodbye": "حسنًا، شكرًا لك. مع السلامة!",
    "welcome": "على الرحب والسعة.",
}
WRITTEN_ARABIC: Mapping[str, str | tuple[str, ...]] = {  # what is put otherwise where people write
    "not_heard": "عذرًا، لم أفهم ذلك.",
    "still_not_heard": "عذرًا، ما زلت لا أفهم.",
    "closed": "لا يوجد أحد من فريقنا الآن. نفتح {when}، وسيتواصل معك أحد زملائنا.",
    "keypad": "",
}

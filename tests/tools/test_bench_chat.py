"""Written messages are counted one by one, through the real door of a real process."""

from tools.bench.chat import AT_ONCE, SAID, chat_rate


def test_every_answer_of_every_writer_is_measured() -> None:
    chatted = chat_rate(0.0)
    assert chatted.answers.count == AT_ONCE * len(SAID)
    assert 0 < chatted.answers.p50 <= chatted.answers.p95
    assert chatted.per_second > 0 and chatted.cpu_ms_per_message > 0

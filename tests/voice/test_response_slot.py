"""Who may ask the model for a response, and when: with literals, no socket."""

from ivr.voice.response_slot import ResponseSlot, Slot


def test_a_free_slot_lets_the_message_go():
    assert ResponseSlot().ask("create") == ["create"]


def test_asked_twice_is_owed_once_and_the_last_one_counts():
    slot = ResponseSlot()
    slot.ask("first")
    slot.started("r1")

    assert slot.ask("second") == []
    assert slot.ask("third") == []
    assert slot.ended("r1") == ["third"]
    slot.started("r2")
    assert slot.ended("r2") == []
    assert slot.is_free


def test_a_cancel_wish_is_remembered_until_the_response_exists():
    slot = ResponseSlot()
    slot.ask("create")
    slot.interrupted(by_voice=True)

    assert slot.started("r1") is False
    slot.ended("r1")
    slot.ask("create")
    assert slot.started("r2") is True


def test_what_is_owed_is_moot_after_an_interruption():
    slot = ResponseSlot()
    slot.started("r1")
    slot.ask("owed")
    slot.interrupted(by_voice=True)

    assert slot.ended("r1") == []


def test_nothing_is_asked_while_the_server_is_about_to_answer():
    slot = ResponseSlot()
    slot.expect()

    assert slot.state is Slot.EXPECTED
    assert slot.ask("owed") == []
    assert slot.started("r1") is True
    assert slot.ended("r1") == ["owed"]


def test_the_server_s_answer_comes_before_what_is_owed():
    slot = ResponseSlot()
    slot.started("cancelled")
    slot.expect()
    slot.ask("owed")

    assert slot.ended("cancelled") == []
    assert slot.state is Slot.EXPECTED


def test_a_new_speech_means_that_no_answer_is_coming():
    slot = ResponseSlot()
    slot.expect()
    slot.interrupted(by_voice=True)

    assert slot.is_free


def test_a_key_does_not_keep_the_server_from_answering():
    slot = ResponseSlot()
    slot.expect()
    slot.interrupted(by_voice=False)

    assert slot.state is Slot.EXPECTED


def test_the_end_of_an_older_response_frees_nothing():
    slot = ResponseSlot()
    slot.started("old")
    slot.started("new")

    assert slot.ended("old") == []
    assert slot.state is Slot.RUNNING


def test_a_refused_request_is_owed_until_the_other_response_is_over():
    slot = ResponseSlot()
    slot.ask("create")
    slot.refused("again")

    slot.started("theirs")
    assert slot.ended("theirs") == ["again"]


def test_a_refused_request_that_nobody_wants_any_more_is_forgotten():
    slot = ResponseSlot()
    slot.ask("create")
    slot.interrupted(by_voice=True)
    slot.refused("again")

    assert slot.started("theirs") is True
    assert slot.ended("theirs") == []


def test_giving_up_on_the_server_lets_what_is_owed_go():
    slot = ResponseSlot()
    slot.expect()
    slot.ask("owed")

    assert slot.give_up() == ["owed"]

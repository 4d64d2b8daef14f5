"""The voice when there is no API key: a loopback server that speaks the OpenAI Realtime protocol.

`server` is the door, `session` the protocol, `dialogue` what is said, `ears` and `mouth` the sound.
It hears closed grammars made of the profile, nothing else.
"""

from ivr.offline.server import offline_voice

__all__ = ["offline_voice"]

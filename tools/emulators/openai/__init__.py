"""A strict emulator of OpenAI: the Realtime API (GA) and the parts of REST that `ivr` uses.

Begin to read in `emulator`. It refuses what the service refuses, sends what the service sends in
its order and pace, and misbehaves on demand (`faults`). It understands no speech: it finds the
caller's words in the scenario, and its own voice is a marked tone.
"""

from tools.emulators.openai.audio import Block, blocks
from tools.emulators.openai.chat_script import Call, Say, Shown, by_message, save
from tools.emulators.openai.emulator import OpenAIEmulator
from tools.emulators.openai.faults import Faults
from tools.emulators.openai.session import Session

__all__ = [
    "Block",
    "Call",
    "Faults",
    "OpenAIEmulator",
    "Say",
    "Session",
    "Shown",
    "blocks",
    "by_message",
    "save",
]

"""Phone numbers as the network and settings write them."""

import re

E164 = re.compile(r"\+[1-9][0-9]{6,14}")

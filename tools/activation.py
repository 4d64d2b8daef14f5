"""How to start `ivr serve` on a socket that listens already, as systemd does (sd_listen_fds(3)).

So nobody can take the port between the choice and the start. The child gets the socket as its
standard input; a shell moves it to where the server looks for it, and becomes the server.
"""

import sys

_ADOPT = 'export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@" 3<&0 </dev/null'
SERVE = ("/bin/sh", "-c", _ADOPT, "sh", sys.executable, "-m", "ivr", "serve")

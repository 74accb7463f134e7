"""The service as `intervention serve` runs it, on a database that the bench has made."""

from __future__ import annotations

import os
import sys

from service.app import configure_logs, create_app
from service.commands.serve import server
from service.settings import Settings

if __name__ == "__main__":
    settings = Settings.from_env({**os.environ, "PORT": sys.argv[1]})
    configure_logs(settings.log_level)
    server(create_app(settings), settings).run()

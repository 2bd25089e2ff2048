"""`fetch.py URL` exits 0 when URL answers 200 within two seconds: a ready command, and a check."""

import sys
from urllib.error import URLError
from urllib.request import urlopen

try:
    with urlopen(sys.argv[1], timeout=2) as answer:
        print(f"{sys.argv[1]} answers {answer.status} with {len(answer.read())} bytes")
except (URLError, OSError) as error:
    sys.exit(f"{sys.argv[1]}: {error}")

"""Collect the texts to translate into ``locale/`` and compile the translations: ``make messages``.

Collecting needs GNU gettext; compiling does not, and the compiled file is committed, so users need neither.
"""

import shutil
import subprocess
import sys

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from config.env import ROOT

LANGUAGE = "zh_Hans"
DIRECTORY = ROOT / "locale" / LANGUAGE / "LC_MESSAGES"
COLLECT = ("manage.py", "makemessages", "-l", LANGUAGE, "--no-location", "--no-obsolete")
PASSED_OVER = (".venv", "var", "tests", "bench", "build")


def collect() -> None:
    """Bring the .po file up to date with the sources; new texts are left empty for a translator."""
    ignored = [word for name in PASSED_OVER for word in ("-i", name)]
    subprocess.run([sys.executable, "-m", "config.dry", *COLLECT, *ignored], cwd=ROOT, check=True)


def compile_() -> None:
    """Write the .mo file from the .po file."""
    with (DIRECTORY / "django.po").open("rb") as source:
        catalog = read_po(source, locale=LANGUAGE)
    with (DIRECTORY / "django.mo").open("wb") as target:
        write_mo(target, catalog)


def main() -> None:
    if shutil.which("xgettext"):
        collect()
    else:
        print("no xgettext: install your system's gettext package to collect new texts; compiling only")
    compile_()


if __name__ == "__main__":
    main()

"""Settings of the test run: own temporary home, cheap password hashing, plain static files."""

import atexit
import functools
import os
import secrets
import shutil
import tempfile

if "MEDLEY_HOME" not in os.environ:
    os.environ["MEDLEY_HOME"] = tempfile.mkdtemp(prefix="medley-test-")
    atexit.register(functools.partial(shutil.rmtree, os.environ["MEDLEY_HOME"], ignore_errors=True))
os.environ.setdefault("MEDLEY_SECRET_KEY", secrets.token_hex())
os.environ.setdefault("MEDLEY_GATEWAY_TOKEN", secrets.token_hex())

from webapp.settings.base import *  # noqa: E402, F403  # the environment above must be set first

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # noqa: F405  # whitenoise warns of a missing folder, and warnings fail

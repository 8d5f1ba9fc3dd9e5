"""A backend in Flask that was written for SOAPNoteAPI itself.

It verifies X-SoapNoteAPI-Signature over the raw body, as SOAPNoteAPI's
documentation teaches, and now stands behind Scribegate with `format raw`. What
it gained is handling each event once, by webhook-id.

    apt-get install python3-flask
    SOAPNOTE_SECRET=whsec_... PORT=9000 /usr/bin/python3 app.py
"""

import hashlib
import hmac
import json
import logging
import os
import re
import sys
import threading

from flask import Flask, request
from werkzeug.serving import make_server

MAX_BODY = 10 * 1024 * 1024  # bytes

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = MAX_BODY

# In memory the ids are gone with the process. In production, insert the id into
# a table where it is unique, in the same database transaction as what the event
# changes: then both happen or neither does.
#
# SOAPNoteAPI's signature does not cover webhook-id, so whoever saw one delivery
# could send it again under another id. Let nobody but the gateway reach this
# port, or verify webhook-signature besides, as the flask example does.
handled = set()
lock = threading.Lock()

# The key is the whole string, whsec_ included and nothing decoded. Without one
# every caller would have to be believed, so it does not start.
SECRET = os.environ.get("SOAPNOTE_SECRET", "")
if not SECRET:
    sys.exit("set SOAPNOTE_SECRET to the secret that SOAPNoteAPI showed (whsec_...)")


def verify(headers, body):
    """Return why a delivery is refused, or None.

    The timestamp is part of what is signed, so its form is checked, but not its
    age: the gateway did that on receipt. The provider's signature stays the same
    on every attempt, and the last one comes many hours later, so that a backend
    which demands a recent timestamp refuses late retries until the event is dead.
    """
    signature = headers.get("X-SoapNoteAPI-Signature", "")
    timestamp = headers.get("X-SoapNoteAPI-Timestamp", "")
    if not signature or not timestamp:
        return "X-SoapNoteAPI-Signature or X-SoapNoteAPI-Timestamp is missing"
    # Digits only: otherwise a part of the body can pass for the timestamp's end.
    if not re.fullmatch("[1-9][0-9]{0,10}", timestamp):
        return "X-SoapNoteAPI-Timestamp is not in Unix seconds"
    signed = timestamp.encode() + b"." + body
    want = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(signature.lower().encode(), want.encode()):
        return "X-SoapNoteAPI-Signature does not match: compare SOAPNOTE_SECRET with the gateway's secret"
    return None


def handle(payload):
    """Do the backend's own work with a payload.

    It should be quick: the gateway waits 30 s for an answer unless told otherwise.
    """


def say(line):
    """Print one line at once; nothing of a payload's data is ever in it."""
    print(line, flush=True)


@app.get("/healthz")
def healthz():
    return "ok\n"


@app.post("/")
@app.post("/<path:path>")
def receive(path=""):
    # The signature covers the bytes as they came: request.json would give
    # others back.
    body = request.get_data()
    refused = verify(request.headers, body)
    if refused:
        say(f"refused 401 {refused}")
        return "unauthorized\n", 401
    event_id = request.headers.get("webhook-id", "")
    if not event_id:
        say("refused 400 webhook-id is missing: is this behind Scribegate?")
        return "bad request\n", 400
    try:
        payload = json.loads(body)
        event = payload["event"]
    except (ValueError, LookupError, TypeError):
        say("refused 400 the body is not SOAPNoteAPI's JSON")
        return "bad request\n", 400

    attempt = request.headers.get("scribegate-attempt", 0, type=int)
    with lock:
        first = event_id not in handled
        if first:
            handle(payload)
            handled.add(event_id)
    say(f"{'received' if first else 'duplicate'} {event} {event_id} attempt {attempt}")
    return "", 204


if __name__ == "__main__":
    # Flask's own server is enough for an example; in production put a WSGI
    # server such as gunicorn here. Its access log would print query strings.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", int(os.environ.get("PORT", "9000")), app, threaded=True)
    say(f"listening on http://127.0.0.1:{server.port}")
    server.serve_forever()

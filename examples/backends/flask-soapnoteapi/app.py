"""A Flask backend that was written for SOAPNoteAPI.

It verifies X-SoapNoteAPI-Signature over the raw body, as SOAPNoteAPI's
documentation describes, and now runs behind Scribegate with `format raw`. New is
only that it handles each event once, by webhook-id.

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

# The ids in memory are lost when the process ends. In production, insert the id
# into a table with a unique key, in the same database transaction as the changes
# that the event makes: then both happen or neither does.
#
# SOAPNoteAPI's signature does not cover webhook-id: a person who saw one delivery
# could send it again with another id. Make this port reachable for the gateway
# only, or verify webhook-signature too, as the flask example does.
handled = set()
lock = threading.Lock()

# The key is the whole string, with whsec_ and not decoded. Without a key the
# backend could not reject anybody, so it does not start.
SECRET = os.environ.get("SOAPNOTE_SECRET", "")
if not SECRET:
    sys.exit("set SOAPNOTE_SECRET to the secret that SOAPNoteAPI showed (whsec_...)")


def verify(headers, body):
    """Return why a delivery is rejected, or None.

    It checks the form of the timestamp, which is part of the signed bytes, but not
    its age: the gateway checked the age on receipt. The provider's signature is the
    same on every attempt, and the last attempt is many hours later. A backend that
    requires a recent timestamp rejects late retries until the event is dead.
    """
    signature = headers.get("X-SoapNoteAPI-Signature", "")
    timestamp = headers.get("X-SoapNoteAPI-Timestamp", "")
    if not signature or not timestamp:
        return "X-SoapNoteAPI-Signature or X-SoapNoteAPI-Timestamp is missing"
    # Digits only: otherwise the start of the body could be read as the timestamp's end.
    if not re.fullmatch("[1-9][0-9]{0,10}", timestamp):
        return "X-SoapNoteAPI-Timestamp is not in Unix seconds"
    signed = timestamp.encode() + b"." + body
    want = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(signature.lower().encode(), want.encode()):
        return "X-SoapNoteAPI-Signature does not match: compare SOAPNOTE_SECRET with the gateway's secret"
    return None


def handle(payload):
    """Do your own work with a payload.

    Keep it short: the gateway waits 30 s for an answer, unless `timeout` is set.
    """


def print_line(line):
    """Print one line and flush. It never contains a payload's data."""
    print(line, flush=True)


@app.get("/healthz")
def healthz():
    return "ok\n"


@app.post("/")
@app.post("/<path:path>")
def receive(path=""):
    # The signature covers the bytes as they were sent: do not use request.json,
    # which does not return them.
    body = request.get_data()
    reason = verify(request.headers, body)
    if reason:
        print_line(f"refused 401 {reason}")
        return "unauthorized\n", 401
    event_id = request.headers.get("webhook-id", "")
    if not event_id:
        print_line("refused 400 webhook-id is missing: is this behind Scribegate?")
        return "bad request\n", 400
    try:
        payload = json.loads(body)
        event = payload["event"]
    except (ValueError, LookupError, TypeError):
        print_line("refused 400 the body is not SOAPNoteAPI's JSON")
        return "bad request\n", 400

    attempt = request.headers.get("scribegate-attempt", 0, type=int)
    with lock:
        first = event_id not in handled
        if first:
            handle(payload)
            handled.add(event_id)
    print_line(f"{'received' if first else 'duplicate'} {event} {event_id} attempt {attempt}")
    return "", 204


if __name__ == "__main__":
    # Flask's own server is enough for an example. In production use a WSGI server
    # such as gunicorn. The access log is off, since it prints query strings.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", int(os.environ.get("PORT", "9000")), app, threaded=True)
    print_line(f"listening on http://127.0.0.1:{server.port}")
    server.serve_forever()

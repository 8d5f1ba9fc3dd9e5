"""A Flask backend that receives Scribegate's deliveries, structured and binary.

It verifies webhook-signature over the raw body, handles each event once by
webhook-id, answers 204 and prints one line per event.

    apt-get install python3-flask
    SCRIBEGATE_SIGNING_SECRET=whsec_... PORT=9000 /usr/bin/python3 app.py
"""

import base64
import binascii
import hashlib
import hmac
import json
import logging
import os
import re
import sys
import threading
import time

from flask import Flask, request
from werkzeug.serving import make_server

TOLERANCE = 5 * 60  # seconds
MAX_BODY = 32 * 1024 * 1024  # bytes

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = MAX_BODY

# The ids in memory are lost when the process ends. In production, insert the id
# into a table with a unique key, in the same database transaction as the changes
# that the event makes: then both happen or neither does.
handled = set()
lock = threading.Lock()


def key_from(secret):
    """Return the key in a signing secret, or end the program.

    Without a key the backend could not reject anybody, so it does not start.
    """
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith("whsec_") or not key:
        sys.exit("set SCRIBEGATE_SIGNING_SECRET to the gateway's signing_secret (whsec_...)")
    return key


KEY = key_from(os.environ.get("SCRIBEGATE_SIGNING_SECRET", ""))


def verify(headers, body):
    """Return why a delivery is rejected, or None. Follows Standard Webhooks 1.0."""
    event_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    signatures = headers.get("webhook-signature", "")
    if not event_id or not timestamp or not signatures:
        return "webhook-id, webhook-timestamp or webhook-signature is missing"
    if not re.fullmatch("[0-9]{1,11}", timestamp) or abs(time.time() - int(timestamp)) > TOLERANCE:
        return "webhook-timestamp is not within five minutes of now"
    signed = f"{event_id}.{timestamp}.".encode() + body
    want = b"v1," + base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest())
    # One valid signature is enough: while the secret is rotated, the gateway signs
    # with the old and the new one.
    if not any(hmac.compare_digest(got.encode(), want) for got in signatures.split(" ")):
        return "no webhook-signature matches"
    return None


def parse(headers, content_type, body):
    """Return a verified delivery's id, type and data, or None.

    In the binary format the type is a header, and the signature does not cover
    it: decide by the data.
    """
    try:
        document = json.loads(body)
        if content_type == "application/cloudevents+json":
            event_id, event_type, data = document["id"], document["type"], document["data"]
        else:
            event_id, event_type, data = headers["ce-id"], headers["ce-type"], document
    except (ValueError, LookupError, TypeError):
        return None
    return (event_id, event_type, data) if event_id == headers["webhook-id"] else None


def handle(data):
    """Do your own work with an event's data.

    Keep it short: the gateway waits 30 s for an answer, unless `timeout` is set.
    """


def print_line(line):
    """Print one line and flush. It never contains an event's data."""
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
    event = parse(request.headers, request.mimetype, body)
    if event is None:
        print_line("refused 400 the body is neither a structured nor a binary CloudEvent")
        return "bad request\n", 400

    event_id, event_type, data = event
    attempt = request.headers.get("scribegate-attempt", 0, type=int)
    with lock:
        first = event_id not in handled
        if first:
            handle(data)
            handled.add(event_id)
    print_line(f"{'received' if first else 'duplicate'} {event_type} {event_id} attempt {attempt}")
    return "", 204


if __name__ == "__main__":
    # Flask's own server is enough for an example. In production use a WSGI server
    # such as gunicorn. The access log is off, since it prints query strings.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", int(os.environ.get("PORT", "9000")), app, threaded=True)
    print_line(f"listening on http://127.0.0.1:{server.port}")
    server.serve_forever()

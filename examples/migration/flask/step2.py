"""The handler of before.py as a backend of Scribegate.

It receives the events of both providers in one form, signed by the gateway.

    SCRIBEGATE_SIGNING_SECRET=whsec_... NOTES=/tmp/notes PORT=3000 /usr/bin/python3 step2.py
"""

import base64
import hashlib
import hmac
import json
import os
import time
import urllib.parse

from flask import Flask, request

KEY = base64.b64decode(os.environ["SCRIBEGATE_SIGNING_SECRET"].removeprefix("whsec_"))
app = Flask(__name__)


def genuine(headers, body):
    event_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdecimal() or abs(time.time() - int(timestamp)) > 300:
        return False  # it is that of this attempt
    want = base64.b64encode(hmac.new(KEY, f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256).digest())
    signatures = headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(b"v1," + want, signature.encode()) for signature in signatures)


def save(name, note):
    """Save a note. The directory NOTES stands for the database."""
    file = os.path.join(os.environ["NOTES"], urllib.parse.quote(name, safe=""))
    with open(file + ".new", "w", encoding="utf-8") as new:
        json.dump(note, new)
    os.replace(file + ".new", file)


@app.post("/events")
def receive():
    body = request.get_data()
    if not genuine(request.headers, body):
        return {"error": "unauthorized"}, 401
    event = json.loads(body)
    data = event["data"]
    if event["type"] == "com.soapnoteapi.note.generated":
        save(data["id"], data["note"])  # an error is answered 500: the gateway sends the event again
    if event["type"] == "com.soniox.transcription.completed":
        # Without a transcript there is the reason: look at these files, since the gateway deletes the event.
        suffix = ".unavailable" if "unavailable" in data["transcription"] else ""
        save(data["id"] + suffix, data["transcription"])
    return "", 204


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "3000")))

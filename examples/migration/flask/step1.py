"""The handler of before.py behind Scribegate, with `format raw`.

It still checks SOAPNoteAPI's signature itself, and answers only when the note is saved.

    SOAPNOTE_SECRET=whsec_... NOTES=/tmp/notes PORT=3000 /usr/bin/python3 step1.py
"""

import hashlib
import hmac
import json
import os
import re
import urllib.parse

from flask import Flask, request

SECRET = os.environ["SOAPNOTE_SECRET"].encode()
app = Flask(__name__)


def genuine(headers, body):
    timestamp = headers.get("X-SoapNoteAPI-Timestamp", "")
    if not re.fullmatch("[1-9][0-9]{0,10}", timestamp):
        return False  # the gateway has checked its age
    want = hmac.new(SECRET, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(want.encode(), headers.get("X-SoapNoteAPI-Signature", "").encode())


def save(name, note):
    """Save a note. The directory NOTES stands for the database."""
    file = os.path.join(os.environ["NOTES"], urllib.parse.quote(name, safe=""))
    with open(file + ".new", "w", encoding="utf-8") as new:
        json.dump(note, new)
    os.replace(file + ".new", file)


@app.post("/webhooks/soapnoteapi")
def receive():
    body = request.get_data()
    if not genuine(request.headers, body):
        return {"error": "unauthorized"}, 401
    payload = json.loads(body)
    if payload["event"] == "note.generated":
        save(payload["note_id"], payload["data"])  # an error is answered 500: the gateway sends the event again
    return {"received": True}


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "3000")))

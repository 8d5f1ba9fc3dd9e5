"""The handler of before.py as a backend of Scribegate.

It receives the events of both providers in one form, signed by the gateway, and with the
transcript in them.

    SCRIBEGATE_SIGNING_SECRET=whsec_... NOTES=/tmp/notes PORT=8000 /usr/bin/python3 step2.py
"""

import base64
import hashlib
import hmac
import json
import os
import time
import urllib.parse

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool

KEY = base64.b64decode(os.environ["SCRIBEGATE_SIGNING_SECRET"].removeprefix("whsec_"))
app = FastAPI()


def genuine(headers, body):
    event_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdecimal() or abs(time.time() - int(timestamp)) > 300:
        return False  # it is that of this attempt
    want = base64.b64encode(hmac.new(KEY, f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256).digest())
    signatures = headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(b"v1," + want, signature.encode()) for signature in signatures)


def save(name, transcript):
    """Save a transcript. The directory NOTES stands for the database."""
    file = os.path.join(os.environ["NOTES"], urllib.parse.quote(name, safe=""))
    with open(file + ".new", "w", encoding="utf-8") as new:
        json.dump(transcript, new)
    os.replace(file + ".new", file)


@app.post("/events")
async def receive(request: Request):
    body = await request.body()
    if not genuine(request.headers, body):
        raise HTTPException(401)
    event = json.loads(body)
    data = event["data"]
    # An error is answered 500: the gateway sends the event again.
    if event["type"] == "com.soniox.transcription.completed":
        # Without a transcript there is the reason: look at these files, since the gateway deletes the event.
        suffix = ".unavailable" if "unavailable" in data["transcription"] else ""
        await run_in_threadpool(save, data["id"] + suffix, data["transcription"])
    if event["type"] == "com.soapnoteapi.note.generated":
        await run_in_threadpool(save, data["id"], data["note"])
    return {"received": True}


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")), log_level="warning")

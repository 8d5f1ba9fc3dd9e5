"""The handler of before.py behind Scribegate, with `format raw`.

It still compares Soniox's header itself, and answers only when the transcript is saved.

    SONIOX_WEBHOOK_SECRET=... SONIOX_API_KEY=... NOTES=/tmp/notes PORT=8000 /usr/bin/python3 step1.py
"""

import hmac
import json
import os
import urllib.parse
import urllib.request

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool

SECRET = os.environ["SONIOX_WEBHOOK_SECRET"]
API = os.environ.get("SONIOX_API", "https://api.soniox.com")
app = FastAPI()


def fetch(transcription_id):
    """Return the transcript of a transcription."""
    url = f"{API}/v1/transcriptions/{urllib.parse.quote(transcription_id, safe='')}/transcript"
    request = urllib.request.Request(url, headers={"Authorization": "Bearer " + os.environ["SONIOX_API_KEY"]})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def save(name, transcript):
    """Save a transcript. The directory NOTES stands for the database."""
    file = os.path.join(os.environ["NOTES"], urllib.parse.quote(name, safe=""))
    with open(file + ".new", "w", encoding="utf-8") as new:
        json.dump(transcript, new)
    os.replace(file + ".new", file)


def fetch_and_save(transcription_id):
    save(transcription_id, fetch(transcription_id))


@app.post("/webhook")
async def receive(request: Request):
    if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), f"Bearer {SECRET}".encode()):
        raise HTTPException(401)
    payload = await request.json()
    if payload["status"] == "completed":
        # An error is answered 500: the gateway sends the event again.
        await run_in_threadpool(fetch_and_save, payload["id"])
    return {"received": True}


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")), log_level="warning")

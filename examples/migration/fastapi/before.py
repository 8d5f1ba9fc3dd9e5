"""A handler of one's own for Soniox, as many are written.

It compares the header, remembers the ids that it has seen, answers in time, and fetches
the transcript in a background task.

    SONIOX_WEBHOOK_SECRET=... SONIOX_API_KEY=... NOTES=/tmp/notes PORT=8000 /usr/bin/python3 before.py
"""

import json
import os
import urllib.parse
import urllib.request

import uvicorn
from fastapi import BackgroundTasks, FastAPI, Request

SECRET = os.environ["SONIOX_WEBHOOK_SECRET"]
API = os.environ.get("SONIOX_API", "https://api.soniox.com")
app = FastAPI()
seen = set()


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
async def receive(request: Request, background: BackgroundTasks):
    if request.headers.get("Authorization") != f"Bearer {SECRET}":
        return {"error": "unauthorized"}, 401
    payload = await request.json()
    if payload["id"] not in seen:
        seen.add(payload["id"])
        if payload["status"] == "completed":
            background.add_task(fetch_and_save, payload["id"])
    return {"received": True}


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")), log_level="warning")

// The handler of before.mjs behind Scribegate, with `format raw`. It still checks
// SOAPNoteAPI's signature itself, and answers only when the note is saved.
//
//   SOAPNOTE_SECRET=whsec_... NOTES=/tmp/notes PORT=3000 node step1.mjs
import { createHmac, timingSafeEqual } from 'node:crypto';
import { rename, writeFile } from 'node:fs/promises';
import express from 'express';

const secret = process.env.SOAPNOTE_SECRET;

function genuine(req) {
  const timestamp = req.get('X-SoapNoteAPI-Timestamp') ?? '';
  if (!/^[1-9]\d{0,10}$/.test(timestamp)) return false; // the gateway has checked its age
  const want = createHmac('sha256', secret).update(`${timestamp}.`).update(req.body).digest();
  const got = Buffer.from(req.get('X-SoapNoteAPI-Signature') ?? '', 'hex');
  return got.length === want.length && timingSafeEqual(got, want);
}

// The directory NOTES stands for the database.
async function save(name, note) {
  const file = `${process.env.NOTES}/${encodeURIComponent(name)}`;
  await writeFile(`${file}.new`, JSON.stringify(note), { mode: 0o600 });
  await rename(`${file}.new`, file);
}

const app = express();

app.post('/webhooks/soapnoteapi', express.raw({ type: 'application/json', limit: '10mb' }), async (req, res) => {
  if (!genuine(req)) return res.sendStatus(401);
  const payload = JSON.parse(req.body);
  try {
    if (payload.event === 'note.generated') await save(payload.note_id, payload.data);
    res.json({ received: true });
  } catch (err) {
    console.error(`not saved: ${err.code}`);
    res.sendStatus(500); // the gateway sends the event again
  }
});

app.listen(Number(process.env.PORT ?? 3000), '127.0.0.1');
